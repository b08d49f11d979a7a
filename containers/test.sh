#!/usr/bin/env bash
# Tries docker-compose.yml for real: build, demo to an exact verify, containers killed and back, the labs' solutions, down.
#
#   containers/test.sh                                     with Docker
#   COMPOSE="…" BUILD="…" ENGINE=podman containers/test.sh  with anything that takes Compose's and docker's arguments
#
# Its project, volumes and .env are its own only where none are there yet: it refuses to touch a running lab.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ENGINE=${ENGINE:-docker}
COMPOSE=${COMPOSE:-docker compose}
PROJECT=fraudlab-test
PAYING_S=${PAYING_S:-60}
SOLUTIONS=${SOLUTIONS:-solutions}
export COMPOSE_PROJECT_NAME=$PROJECT

say() { printf '[%s] %s\n' "$(date -u +%H:%M:%S)" "$1"; }
compose() { $COMPOSE -p "$PROJECT" "$@"; }
demo() { COMPOSE_PROFILES=demo compose "$@"; }
lab() { COMPOSE_PROFILES=lab compose "$@"; }
container() { $ENGINE ps --all --quiet --filter "label=com.docker.compose.project=$PROJECT" --filter "label=com.docker.compose.service=$1" | head -n 1; }
inside() { local service=$1; shift; $ENGINE exec "$(container "$service")" "$@"; }

await() { # await SECONDS WHAT COMMAND …: until the command succeeds
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      say "not in time: $what"
      $ENGINE ps --all --filter "label=com.docker.compose.project=$PROJECT"
      return 1
    fi
    sleep 1
  done
  say "$what"
}

serves() { inside "$1" fraudlab health "${2:-$1}"; }
ended_well() { [ "$($ENGINE inspect --format '{{.State.Status}} {{.State.ExitCode}}' "$(container "$1")")" = "exited 0" ]; }
started_at() { $ENGINE inspect --format '{{.State.StartedAt}}' "$(container "$1")"; }
was_restarted() { [ "$(started_at "$1")" != "$2" ] && serves "$1" "${3:-$1}"; }
verify() { demo run --rm -T pipeline fraudlab verify --settle-s 120; }

finish() {
  status=$?
  trap - EXIT
  if [ "$status" -ne 0 ]; then
    for service in pipeline jobmanager taskmanager flagger lab; do
      [ -z "$(container $service)" ] || { say "the end of $service's log"; $ENGINE logs --tail 30 "$(container $service)" 2>&1 || true; }
    done
  fi
  say "taking it down, with its volumes"
  { demo down --volumes --remove-orphans; lab down --volumes --remove-orphans; } >/dev/null 2>&1 || true
  left=$($ENGINE volume ls --quiet | grep "^${PROJECT}_" || true)
  [ -z "$left" ] || { say "volumes are left: $left"; [ "$status" -ne 0 ] || status=1; }
  [ "$status" -ne 0 ] || say "all passed"
  exit "$status"
}

[ -z "$($ENGINE ps --all --quiet --filter "label=com.docker.compose.project=$PROJECT")" ] || { say "containers of an earlier $PROJECT are there; remove them first"; exit 1; }
sh containers/make-env.sh
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "building"
if [ -n "${BUILD:-}" ]; then
  $BUILD -t fraudlab:0.1.0 .
  $BUILD --build-arg REQUIREMENTS=dev -t fraudlab-lab:0.1.0 .
else
  demo build --quiet && lab build --quiet
fi

say "the demo"
demo up --detach --no-build
await 300 "the jobs run" ended_well pipeline
for service in inbox flagger notifier; do await 120 "$service serves" serves $service; done
await 120 "dashboard serves" serves dashboard analytics
say "the bank pays for $PAYING_S s; meanwhile containers are killed"
sleep "$PAYING_S" # the demo's length, not a wait for anything
before=$(started_at taskmanager)
inside taskmanager bash -c 'cat /control/taskmanager.alive > /control/taskmanager.kill'
await 120 "the killed TaskManager is back" was_restarted taskmanager "$before"
before=$(started_at kafka)
inside taskmanager bash -c 'cat /control/kafka.alive > /control/kafka.kill'
await 120 "the killed Kafka is back" was_restarted kafka "$before"
before=$(started_at flagger)
inside flagger python -c "import os, signal, psutil; [one.send_signal(signal.SIGKILL) for one in psutil.process_iter() if 'fraudlab.services.flagger' in one.cmdline()]" || true
await 120 "the killed flagger is back" was_restarted flagger "$before"
$ENGINE stop "$(container data-generator)" >/dev/null
verify
say "the verdict is exact"

say "down and up: data stays"
demo down >/dev/null 2>&1
demo up --detach --no-build
await 300 "the jobs run again" ended_well pipeline
$ENGINE stop "$(container data-generator)" >/dev/null
verify
demo down --volumes >/dev/null 2>&1
say "down with its volumes"

say "the labs"
lab up --detach --no-build
await 300 "JupyterLab serves" inside lab python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:18888/api', timeout=5)"
inside lab pytest -p no:cacheprovider --nbval-lax $SOLUTIONS
