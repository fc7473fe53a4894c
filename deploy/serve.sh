#!/bin/sh
# Runs the image's one service, $SERVICE, as process 1: SIGTERM reaches it, and it finishes what it has in flight.
# It reads <SERVICE>_AMQP_URL and <SERVICE>_DATABASE_URL; HTTP is on port 8000 of every interface of the container.
set -eu
prefix=$(printf '%s' "$SERVICE" | tr '[:lower:]' '[:upper:]')
eval "format=\${${prefix}_LOG_FORMAT:-json}"
# shellcheck disable=SC2154 # eval has set it
export "${prefix}_HTTP_HOST=0.0.0.0" "${prefix}_HTTP_PORT=8000" "${prefix}_LOG_FORMAT=$format"
case $SERVICE in
order_api | operations)
    exec python -m uvicorn "$SERVICE.app:api" --host 0.0.0.0 --port 8000 --no-access-log \
        --http rest.bounded_http:BoundedHttp --ws none --timeout-graceful-shutdown 10 --log-level warning
    ;;
*) exec python -m faststream run "$SERVICE.app:app" ;;
esac
