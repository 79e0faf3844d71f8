#!/bin/sh
# Writes .env beside this file with a password for each service and the key that seals secrets; keeps one that is there.
set -eu
umask 077
cd "$(dirname "$0")"
if [ -e .env ]; then
  echo "deploy/docker/.env is there already: nothing changed" >&2
  exit 0
fi
word() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
{
  echo "CLICKHOUSE_PASSWORD=$(word)"
  echo "HEADWATER_SECRET_KEY=$(word)"
  echo "GRAFANA_PASSWORD=$(word)"
} > .env
echo "deploy/docker/.env has new secrets: keep a copy, what is stored cannot be read without them" >&2
