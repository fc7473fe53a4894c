#!/bin/bash
# For the control room's container, every minute: where the hosts of services are, and credentials to send metrics with.
# Reads STACK and METRICS_ROLE (none without metrics).
set -Eeuo pipefail
umask 022
folder=/run/orders
mkdir -p "$folder/aws"

# Sorted: the control room asks the first that answers, so that it is the same one each time.
found=$(aws ec2 describe-instances --output text --query 'Reservations[].Instances[].PrivateIpAddress' --filters \
    "Name=tag:aws:autoscaling:groupName,Values=$STACK-services" Name=instance-state-name,Values=running)
hosts="127.0.0.1 localhost"
for address in $(tr '[:space:]' '\n' <<<"$found" | sort); do
    [[ $address == None ]] || hosts+=$'\n'"$address services"
done
printf '%s\n' "$hosts" >"$folder/hosts" # in place: a container sees the file that was there when it started

# Credentials live an hour; a container reads them again when they are about to expire.
if [[ ${METRICS_ROLE:-} && -z $(find "$folder/aws/credentials.json" -mmin -15 2>/dev/null) ]]; then
    # shellcheck disable=SC2016 # the backticks are JMESPath's, around a number
    query='Credentials.{Version: `1`, AccessKeyId: AccessKeyId, SecretAccessKey: SecretAccessKey,
        SessionToken: SessionToken, Expiration: Expiration}'
    (
        umask 077
        aws sts assume-role --role-arn "$METRICS_ROLE" --role-session-name control-room --output json --query "$query" \
            >"$folder/aws/credentials.new"
    )
    chown 10001:10001 "$folder/aws/credentials.new"
    mv "$folder/aws/credentials.new" "$folder/aws/credentials.json"
    printf '[default]\ncredential_process = cat /run/aws/credentials.json\n' >"$folder/aws/config"
fi
