#!/bin/sh
# Prints the tree of secrets that deploy/make_secrets.py made, as Secrets of the namespace orders, one a holder:
#   python deploy/make_secrets.py secrets && sh deploy/kubernetes/secrets.sh secrets | kubectl apply --server-side -f -
set -eu
tree=${1:?usage: secrets.sh FOLDER, the one that deploy/make_secrets.py wrote}

secret() { # no password is an argument: those can be seen by others on this machine
    kubectl create secret generic "$@" --namespace orders --dry-run=client --output yaml
    echo ---
}
dashed() { printf '%s' "$1" | tr _ -; }

secret administrator --from-file="$tree/administrator"
for service in order_api payment inventory shipping operations; do
    secret "$(dashed "$service")" --from-file="$tree/$service"
    # as CloudNativePG reads it: who owns the database
    secret "$(dashed "$service")-db" --type kubernetes.io/basic-auth \
        --from-literal=username="${service}_owner" --from-file=password="$tree/${service}_db/database_password"
done
# as the RabbitMQ Cluster Operator reads it
{
    printf 'default_user = administrator\ndefault_pass = '
    cat "$tree/rabbitmq/amqp_password"
} | secret rabbitmq-administrator --from-literal=username=administrator \
    --from-file=password="$tree/rabbitmq/amqp_password" --from-file=default_user.conf=/dev/stdin
# as KEDA reads it: who may watch all queues
secret queue-depths --from-literal=host=http://rabbitmq.orders:15672 --from-literal=username=operations \
    --from-file=password="$tree/operations/operations_amqp_password"
