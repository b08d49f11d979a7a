#!/bin/sh
# Writes .env, once: a password for each account. Compose reads it, git ignores it. Run again, it adds what an older one lacks.
set -eu
cd "$(dirname "$0")/.."
umask 077
if [ -e .env ]; then
  cp .env .env.new
else
  {
    echo "# Written by containers/make-env.sh. Without it nobody gets at the data that the volumes hold."
    echo "# What \`docker compose up\` starts: the labs. The demo: COMPOSE_PROFILES=demo docker compose up"
    echo "COMPOSE_PROFILES=lab"
  } > .env.new
fi
for name in MYSQL_ROOT MYSQL_GENERATOR MYSQL_CDC MYSQL_FLAGGER MYSQL_NOTIFIER MYSQL_ANALYTICS MYSQL_OPERATOR MYSQL_LEARNER \
  KAFKA_BROKER KAFKA_OWNER KAFKA_CDC_INGESTION KAFKA_TRANSACTION_JOIN KAFKA_FRAUD_DETECTOR KAFKA_FLAGGER KAFKA_NOTIFIER KAFKA_ANALYTICS \
  DASHBOARD_PASSWORD FLINK_KEYS FLINK_PAGE_TOKEN ZOOKEEPER; do
  grep -q "^$name=" .env.new || echo "$name=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" >> .env.new
done
mv .env.new .env
echo "Passwords are in .env; those that were there stay as they are."
echo "Next: docker compose up"
