#!/bin/sh
# The job ahead of traffic. It may be repeated at any time: what is there already stays as it is.
# Reads AMQP_URL and each service's <SERVICE>_DATABASE_URL: an administrator of the broker, the owners of the databases.
# Their passwords may be files in SECRETS_DIR. With SECRETS_TREE (deploy/make_secrets.py) each service gets a user on the
# broker and a role in its database, which can do what the service does and no more, and the control room a role that
# may only read. With RABBITMQ_MANAGEMENT_URL it is a gate, too: it fails, and no service starts, while the broker
# differs from the document.
set -eu
python -m messaging topology apply
set --
for folder in */migrations; do
    set -- "$@" "${folder%/migrations}"
done
python -m messaging migrate "$@"
reader=${SECRETS_TREE:-}/operations/operations_reader_password
if [ -f "$reader" ]; then
    READER_PASSWORD=$(cat "$reader")
    export READER_PASSWORD
fi
if [ "${READER_PASSWORD:-}" ]; then
    python -m messaging readers "$@"
    unset READER_PASSWORD
fi
if [ "${SECRETS_TREE:-}" ]; then
    python -m messaging roles "$@"
    python -m messaging users
fi
for seed in */seed.py; do
    python -m "${seed%/seed.py}.seed"
done
if [ "${RABBITMQ_MANAGEMENT_URL:-}" ]; then
    python -m messaging verify --before-services
fi
