#!/bin/sh
# The job ahead of traffic. It may be repeated at any time: what is there already stays as it is.
# Reads AMQP_URL and each service's <SERVICE>_DATABASE_URL. With RABBITMQ_MANAGEMENT_URL it is a gate, too: it fails, and
# no service starts, while the broker differs from the document. With READER_PASSWORD it makes the role that may only read.
set -eu
python -m messaging topology apply --amqp-url "$AMQP_URL"
set --
for folder in */migrations; do
    set -- "$@" "${folder%/migrations}"
done
python -m messaging migrate "$@"
if [ "${READER_PASSWORD:-}" ]; then
    python -m messaging readers "$@"
fi
for seed in */seed.py; do
    python -m "${seed%/seed.py}.seed"
done
if [ "${RABBITMQ_MANAGEMENT_URL:-}" ]; then
    python -m messaging verify --amqp-url "$AMQP_URL" --before-services
fi
