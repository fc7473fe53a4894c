#!/bin/sh
# The job ahead of traffic. It may be repeated at any time: what is there already stays as it is.
# Reads AMQP_URL and each service's <SERVICE>_DATABASE_URL.
set -eu
python -m messaging topology apply --amqp-url "$AMQP_URL"
for service in order_api payment inventory shipping; do
    python -m messaging migrate "$service"
done
python -m order_api.seed
python -m inventory.seed
