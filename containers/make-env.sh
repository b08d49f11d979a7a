#!/bin/sh
# Writes .env, once: a password for each account. Compose reads it, git ignores it.
set -eu
cd "$(dirname "$0")/.."
if [ -e .env ]; then
  echo ".env is there and stays as it is."
else
  umask 077
  {
    echo "# Written by containers/make-env.sh. Without it nobody gets at the data that the volumes hold."
    for name in MYSQL_ROOT MYSQL_GENERATOR MYSQL_CDC MYSQL_FLAGGER MYSQL_NOTIFIER MYSQL_ANALYTICS MYSQL_OPERATOR MYSQL_LEARNER JUPYTER_TOKEN; do
      echo "$name=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
    done
    echo "# What \`docker compose up\` starts: the labs. The demo: COMPOSE_PROFILES=demo docker compose up"
    echo "COMPOSE_PROFILES=lab"
  } > .env.new
  mv .env.new .env
  echo "Passwords are in .env."
fi
echo "Next: docker compose up"
