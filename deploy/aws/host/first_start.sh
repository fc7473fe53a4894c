#!/bin/bash
# Once in a host's life, by its user data: Docker from Amazon Linux's own packages, then what is done at every start.
set -Eeuo pipefail
dnf install --assumeyes --quiet docker
systemctl enable --now docker
install -m 0644 /opt/orders/*.service /opt/orders/*.timer /etc/systemd/system/
systemctl daemon-reload
systemctl enable --now orders.service # returns when bootstrap.sh has ended; fails if it failed
