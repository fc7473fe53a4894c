#!/bin/bash
# Makes this host what ROLE says, services, control or broker: passwords into memory, containers, and a signal to
# CloudFormation once they are ready. At every start of the host, by orders.service; harmless when repeated.
# Reads what user data wrote to /etc/orders.env (see template.yaml). Says no password, on no command line either.
set -Eeuo pipefail
shopt -s inherit_errexit
umask 077

run=/run/orders
files=$(dirname "$(readlink -f "$0")")
ready_within=${READY_WITHIN:-600} # seconds
user=10001                        # of all images but RabbitMQ's

say() { printf '%s %s\n' "$(date -u +%FT%TZ)" "$*"; }

# --- how it went ------------------------------------------------------------------------------------------------------
# Nobody waits for a signal but a stack that is created or updated; then it refuses, and that is no failure.
signal() {
    aws cloudformation signal-resource --stack-name "$STACK" --logical-resource-id "$RESOURCE" \
        --unique-id "$INSTANCE" --status "$1" || say "CloudFormation takes no signal; it waits for none"
}

tell_the_log() { # this script's own lines, to where they outlive the host
    local stream
    stream="$INSTANCE/$(date -u +%Y%m%dT%H%M%SZ)"
    aws logs create-log-stream --log-group-name "/$STACK/hosts" --log-stream-name "$stream" &&
        python3 -c 'import json, sys, time
json.dump([{"timestamp": int(time.time() * 1000), "message": sys.stdin.read()[-200_000:] or "-"}], sys.stdout)' \
            <"$run/bootstrap.log" >"$run/bootstrap.json" &&
        aws logs put-log-events --log-group-name "/$STACK/hosts" --log-stream-name "$stream" \
            --log-events "file://$run/bootstrap.json" >"$run/told"
}

finish() {
    local status=$?
    set +e
    if ((status)); then
        say "failed with status $status: the auto-scaling group is told to replace this host"
        signal FAILURE
        aws autoscaling set-instance-health --instance-id "$INSTANCE" --health-status Unhealthy --no-should-respect-grace-period
    fi
    tell_the_log
    cat "$run/bootstrap.log" >&3
}

# --- passwords --------------------------------------------------------------------------------------------------------
# HOLDER/FILE is the end of the secret's name, and where the file is. A container is given its holder's folder alone.
secret() {
    local file
    for file in "$@"; do
        mkdir -p "$run/secrets/${file%/*}"
        aws secretsmanager get-secret-value --secret-id "$STACK/$file" --query SecretString --output text \
            >"$run/secrets/$file"
        chmod 0400 "$run/secrets/$file"
        chmod 0500 "$run/secrets/${file%/*}"
        chown -R "$user:$user" "$run/secrets/${file%/*}"
    done
}

# --- whom containers trust: the public authorities, those of RDS, and a self-hosted broker's own certificate ----------
trust() {
    cat /etc/pki/tls/certs/ca-bundle.crt "$files/rds.pem" >"$run/trust.pem"
    if [[ ${BROKER_CERTIFICATE:-} ]]; then
        aws ssm get-parameter --name "$BROKER_CERTIFICATE" --query Parameter.Value --output text >>"$run/trust.pem"
    fi
    chmod 0444 "$run/trust.pem"
}

# --- containers -------------------------------------------------------------------------------------------------------
log_in() {
    aws ecr get-login-password | docker login --username AWS --password-stdin "$REGISTRY" >"$run/login" 2>&1
}

logs_to() { # GROUP STREAM: lines go to CloudWatch by Docker itself; while that is away the newest are dropped, nobody waits
    printf '%s\n' --log-driver awslogs --log-opt "awslogs-region=$AWS_DEFAULT_REGION" --log-opt "awslogs-group=/$STACK/$1" \
        --log-opt "awslogs-stream=$2" --log-opt mode=non-blocking --log-opt max-buffer-size=4m
}

confined=(
    --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --pids-limit 512
    --volume "$run/trust.pem:/etc/trust.pem:ro"
    --env SSL_CERT_FILE=/etc/trust.pem # for the management API
)
amqp_tls='?cafile=/etc/trust.pem' database_tls='?sslmode=verify-full&sslrootcert=/etc/trust.pem'

# SERVICE PORT [OPTION...]: one container of the service, reached at this port of the host.
service() {
    local service=$1 port=$2 upper=${1^^} database=${1^^}_DATABASE options
    shift 2
    mapfile -t options < <(logs_to "$service" "$INSTANCE")
    docker pull --quiet "$IMAGES-$service:$RELEASE"
    docker run --detach --name "$service" --restart on-failure --stop-timeout 30 --memory 1g \
        --publish "$port:8000" --volume "$run/secrets/$service:/run/secrets:ro" "${confined[@]}" "${options[@]}" \
        --env "${upper}_AMQP_URL=amqps://$service@$BROKER:5671/orders$amqp_tls" \
        --env "${upper}_DATABASE_URL=postgresql://$service@${!database}:5432/$service$database_tls" \
        --env "${upper}_PRODUCTION=true" "$@" "$IMAGES-$service:$RELEASE"
}

ready() { # SERVICE PORT
    local until=$((SECONDS + ready_within))
    until curl --fail --silent --max-time 6 --output "$run/answer" "http://127.0.0.1:$2/readyz"; do
        if ((SECONDS >= until)); then
            say "$1 is not ready after $ready_within s; its log group is /$STACK/$1"
            return 1
        fi
        sleep 1
    done
    say "$1 is ready"
}

# --- roles ------------------------------------------------------------------------------------------------------------
services() {
    local each port=8000
    local all=(order_api payment inventory shipping)
    for each in "${all[@]}"; do
        secret "$each/${each}_amqp_password" "$each/${each}_database_password"
    done
    trust
    log_in
    for each in "${all[@]}"; do
        service "$each" "$port"
        port=$((port + 1))
    done
    port=8000
    for each in "${all[@]}"; do
        ready "$each" "$port"
        port=$((port + 1))
    done
}

control() {
    local each
    local all=(order_api payment inventory shipping operations)
    for each in "${all[@]}"; do
        secret "$each/${each}_amqp_password" "$each/${each}_database_password" "administrator/${each}_database_password"
    done
    secret administrator/amqp_password operations/operations_reader_password
    trust
    log_in
    set_up "${all[@]}"

    local watched=() addresses='"operations": "http://127.0.0.1:8000"' port=8000 database
    for each in "${all[@]:0:4}"; do
        database=${each^^}_DATABASE
        watched+=(--env "OPERATIONS_AUDIT_DATABASES__${each^^}=postgresql://orders_reader@${!database}:5432/$each$database_tls")
        addresses="\"$each\": \"http://services:$port\", $addresses"
        port=$((port + 1))
    done
    [[ $METRICS == true ]] || export METRICS_ROLE=
    bash "$files/refresh.sh"
    # On the host's loopback alone: people reach it through a session (docs/howto/deploy-on-aws.md).
    service operations 127.0.0.1:8100 "${watched[@]}" \
        --env "OPERATIONS_MONITORING_ADDRESSES={$addresses}" \
        --env "OPERATIONS_MONITORING_MANAGEMENT_URL=https://operations@$BROKER:$MANAGEMENT_PORT" \
        --env "OPERATIONS_CLOUDWATCH_ENABLED=$METRICS" --env "OPERATIONS_CLOUDWATCH_NAMESPACE=$NAMESPACE" \
        --env "AWS_REGION=$AWS_DEFAULT_REGION" --env AWS_CONFIG_FILE=/run/aws/config --env AWS_EC2_METADATA_DISABLED=true \
        --volume "$run/aws:/run/aws:ro" --volume "$run/hosts:/etc/hosts:ro"
    systemctl enable --now orders-refresh.timer
    ready operations 8100
}

# Topology, users, rights, migrations, seeds and the gate: once a release. A release that was set up before is not set up
# again, so that going back to it, and replacing this host, changes nothing in databases that are newer.
set_up() {
    local done="/$STACK/set-up/$RELEASE" urls=() each database options
    if aws ssm get-parameter --name "$done" >"$run/set-up.answer" 2>&1; then
        say "$RELEASE was set up before; to do it again: aws ssm delete-parameter --name $done, systemctl restart orders"
        return
    fi
    if ! grep --quiet ParameterNotFound "$run/set-up.answer"; then
        cat "$run/set-up.answer"
        return 1
    fi
    if [[ $MANAGEMENT_PORT == 443 ]]; then # Amazon MQ's own virtual host has policies of Amazon's, a new one has none
        manage PUT vhosts/orders '{}'
        manage PUT permissions/orders/administrator '{"configure": ".*", "write": ".*", "read": ".*"}'
    fi
    for each in "$@"; do
        database=${each^^}_DATABASE
        urls+=(--env "${each^^}_DATABASE_URL=postgresql://${each}_owner@${!database}:5432/$each$database_tls")
    done
    mapfile -t options < <(logs_to hosts "set-up/$RELEASE/$INSTANCE")
    docker pull --quiet "$IMAGES-setup:$RELEASE"
    docker run --rm --name set-up --volume "$run/secrets:/run/secrets:ro" "${confined[@]}" "${options[@]}" "${urls[@]}" \
        --env SECRETS_TREE=/run/secrets --env SECRETS_DIR=/run/secrets/administrator \
        --env "AMQP_URL=amqps://administrator@$BROKER:5671/orders$amqp_tls" \
        --env "RABBITMQ_MANAGEMENT_URL=https://administrator@$BROKER:$MANAGEMENT_PORT" "$IMAGES-setup:$RELEASE"
    aws ssm put-parameter --name "$done" --type String --value "$(date -u +%FT%TZ)" --overwrite >"$run/set-up.answer"
    say "$RELEASE is set up"
}

manage() { # METHOD PATH BODY: RabbitMQ's management API; the password is in a file that curl reads
    printf 'user = "administrator:%s"\n' "$(<"$run/secrets/administrator/amqp_password")" >"$run/curl"
    curl --fail --silent --show-error --max-time 30 --retry 10 --retry-connrefused --cacert "$run/trust.pem" \
        --config "$run/curl" --request "$1" --header 'Content-Type: application/json' --data "$3" \
        "https://$BROKER:$MANAGEMENT_PORT/api/$2"
    rm "$run/curl"
}

# RabbitMQ on this host. Its messages, its TLS key and its node's name outlive the host, on a volume.
broker() {
    local data=/var/lib/orders-rabbitmq device=/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${VOLUME/-/} options
    local rabbit=999 # the user of the image
    if ! mountpoint --quiet "$data"; then
        local until=$((SECONDS + ready_within))
        until [[ -e $device ]] || aws ec2 attach-volume --volume-id "$VOLUME" --instance-id "$INSTANCE" --device /dev/sdf \
            >"$run/attached" 2>&1; do # the host before this one may still hold it
            if ((SECONDS >= until)); then
                cat "$run/attached"
                return 1
            fi
            sleep 5
        done
        until [[ -e $device ]]; do
            ((SECONDS < until))
            sleep 1
        done
        blkid "$device" >"$run/blkid" || mkfs.xfs -q "$device"
        mkdir -p "$data"
        mount "$device" "$data"
    fi
    if ! [[ -f $data/tls/key.pem ]]; then
        mkdir -p "$data/tls"
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=$NAME" \
            -addext "subjectAltName=DNS:$NAME" -keyout "$data/tls/key.pem" -out "$data/tls/certificate.pem" 2>"$run/openssl"
    fi
    chown -R "$rabbit:$rabbit" "$data"
    aws ssm put-parameter --name "$BROKER_CERTIFICATE" --type String --overwrite \
        --value "$(<"$data/tls/certificate.pem")" >"$run/answer"
    secret administrator/amqp_password
    printf 'default_pass = %s\n' "$(<"$run/secrets/administrator/amqp_password")" >"$run/password.conf"
    install -m 0444 "$files/rabbitmq.conf" "$files/advanced.config" "$run"
    chown "$rabbit:$rabbit" "$run/password.conf"
    log_in
    mapfile -t options < <(logs_to hosts "rabbitmq/$INSTANCE")
    docker pull --quiet "$IMAGES-rabbitmq:$RELEASE"
    docker run --detach --name rabbitmq --hostname rabbitmq --restart on-failure --stop-timeout 60 \
        --publish 5671:5671 --publish 15671:15671 --ulimit nofile=65536 "${options[@]}" \
        --volume "$data:/var/lib/rabbitmq" --volume "$run/rabbitmq.conf:/etc/rabbitmq/conf.d/20-orders.conf:ro" \
        --volume "$run/advanced.config:/etc/rabbitmq/advanced.config:ro" \
        --volume "$run/password.conf:/etc/rabbitmq/conf.d/30-password.conf:ro" "$IMAGES-rabbitmq:$RELEASE"
    local until=$((SECONDS + ready_within))
    # As root it might make the node's cookie ahead of the node, which could not read it then.
    until docker exec --user rabbitmq rabbitmq rabbitmq-diagnostics --quiet check_port_connectivity; do
        ((SECONDS < until))
        sleep 2
    done
    aws route53 change-resource-record-sets --hosted-zone-id "$ZONE" --change-batch "{\"Changes\": [{\"Action\": \"UPSERT\",
        \"ResourceRecordSet\": {\"Name\": \"$NAME\", \"Type\": \"A\", \"TTL\": 10, \"ResourceRecords\": [{\"Value\": \"$ADDRESS\"}]}}]}" \
        >"$run/answer"
    say "RabbitMQ answers"
}

# --- and so it goes ---------------------------------------------------------------------------------------------------
mkdir -p "$run"
exec 3>&1 >"$run/bootstrap.log" 2>&1
trap finish EXIT
say "$STACK $RELEASE: this host, $INSTANCE, becomes ${ROLE:?}"
if [[ $(stat --file-system --format %T "$run") != tmpfs ]]; then
    say "$run is no tmpfs: passwords would be written to a disk"
    exit 1
fi
running=$(docker ps --all --quiet)
if [[ $running ]]; then # of a start before this one
    xargs docker stop --time 30 <<<"$running"
    xargs docker rm <<<"$running"
fi
rm -rf "$run/secrets"
mkdir -m 0711 "$run/secrets" # the set-up job is no root, and sees all of it
case $ROLE in
services | control | broker) "$ROLE" ;;
*) say "no such role: $ROLE" && exit 1 ;;
esac
signal SUCCESS
