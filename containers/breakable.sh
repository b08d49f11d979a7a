#!/usr/bin/env bash
# Runs the program of a container and lets a notebook kill it: the labs break what runs, and Docker starts it again.
#
#   breakable.sh NAME COMMAND …
#
# /control is a volume that all containers share. NAME.alive holds a number for this life of the program; whoever writes that number
# to NAME.kill ends it. This script is, or is the child of, the container's first process: with it the kernel kills all others (SIGKILL).
set -u
control=${CONTROL:-/control}
name=$1
shift
life=$(date +%s)$((RANDOM % 900 + 100))

"$@" &
child=$!
trap 'kill -TERM "$child"' TERM INT
echo "$life" > "$control/$name.alive"
while kill -0 "$child" 2>/dev/null; do
  if [ "$(cat "$control/$name.kill" 2>/dev/null)" = "$life" ]; then
    kill -KILL "$child"
    exit 137
  fi
  sleep 0.2 &
  wait "$!"
done
wait "$child"
status=$?
rm -f "$control/$name.alive"
exit "$status"
