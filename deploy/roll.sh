#!/bin/sh
# Replaces the containers of a composed service by new ones, and nobody notices:   deploy/roll.sh SERVICE
# As many as there are start beside them, with the newest image and settings. Once these are ready, the old ones are asked
# to end, which lets them finish what they have in flight. A service with a published port needs room for all of them:
# API_PORT=8000-8009. Which project and files: COMPOSE_PROJECT_NAME and COMPOSE_FILE, as for docker compose.
set -eu
service=${1:?which service? deploy/roll.sh order_api|payment|inventory|shipping|operations}
old=$(docker compose ps --quiet "$service")
count=$(printf '%s' "$old" | grep -c . || :)
if [ "$count" -eq 0 ]; then
    echo "no container of $service runs: docker compose up --wait $service" >&2
    exit 1
fi
docker compose up --detach --wait --no-deps --no-recreate --scale "$service=$((2 * count))" "$service"
printf '%s\n' "$old" | xargs docker stop >/dev/null
printf '%s\n' "$old" | xargs docker inspect --format '{{.Name}} ended with status {{.State.ExitCode}}'
printf '%s\n' "$old" | xargs docker rm >/dev/null
