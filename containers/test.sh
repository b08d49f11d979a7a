#!/usr/bin/env bash
# Tries docker-compose.yml for real: the images, the demo to an exact verdict, the solutions of the labs; and what happens when
# containers start in any order, are killed, or are taken down and up.
#
#   containers/test.sh                   all of it, with Docker
#   containers/test.sh build demo lab    some of these parts, in this order
#   ENGINE=podman COMPOSE=podman-compose BUILD="podman build" containers/test.sh
#
# SOLUTIONS="solutions/01-*.ipynb" runs some labs, PAYING_S=120 has the bank pay for longer. What it starts is a project of its own,
# fraudlab-test, which it takes down with its volumes. It refuses to begin while that is there or a port is taken, by your own
# lab for instance. It takes the passwords of your .env; where there is none it makes one, and removes it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C

ENGINE=${ENGINE:-docker}
COMPOSE=${COMPOSE:-docker compose}
PROJECT=fraudlab-test
PAYING_S=${PAYING_S:-60}
SOLUTIONS=${SOLUTIONS:-solutions}
KEPT="control flink-keys flink-state inbox-data kafka-data mysql-data zookeeper-data"
export COMPOSE_PROJECT_NAME=$PROJECT

say() { printf '[%s] %s\n' "$(date -u +%H:%M:%S)" "$1"; }
fail() { say "$1"; exit 1; }
compose() { $COMPOSE -p "$PROJECT" "$@"; }
demo() { COMPOSE_PROFILES=demo compose "$@"; }
lab() { COMPOSE_PROFILES=lab compose "$@"; }
containers() { $ENGINE ps --all --quiet --filter "label=com.docker.compose.project=$PROJECT" "$@"; }
container() { containers --filter "label=com.docker.compose.service=$1" | head -n 1; }
inside() { local service=$1; shift; $ENGINE exec "$(container "$service")" "$@"; }
learner() { $ENGINE exec --env FRAUDLAB_LEARNER=lab "$(container lab)" "$@"; }

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

is_healthy() { # where there is no systemd, podman asks nothing by itself
  [ "$($ENGINE inspect --format '{{.State.Health.Status}}' "$(container "$1")")" = healthy ] || { [ "$ENGINE" = podman ] && podman healthcheck run "$(container "$1")"; }
}
ended_well() { [ "$($ENGINE inspect --format '{{.State.Status}} {{.State.ExitCode}}' "$(container "$1")")" = "exited 0" ]; }
started_at() { $ENGINE inspect --format '{{.State.StartedAt}}' "$(container "$1")"; }
was_restarted() { [ "$(started_at "$1")" != "$2" ] && is_healthy "$1"; }
verify() { demo run --rm -T pipeline fraudlab verify --settle-s 120; }
log() { $ENGINE logs "$(container "$1")" 2>&1; }
says() { log "$1" | grep -F "$2"; }
addresses() { for service in "$@"; do log "$service"; done | grep -o 'http://127\.0\.0\.1:[^ ;]*' | sort -u; }
opens() { curl --silent --fail --location --max-time 10 --output /dev/null "$1"; }
asks() { [ "$(curl --silent --max-time 10 --output /dev/null --write-out '%{http_code}' "$1")" = 401 ]; }
is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
volumes() { $ENGINE volume ls --quiet | sort; }
captured() { learner python -c 'from fraudlab import system; from fraudlab.pipeline import topics; from fraudlab.settings import Settings
here = Settings(); print(topics.length(system.kafka(here, "learner"), [here.names.transactions]))'; }
has_captured() { [ "$(captured)" -ge "$1" ]; }

keeps() { # keeps NAME …: since the beginning exactly these volumes have come
  local come wanted
  come=$(comm -13 <(printf '%s\n' "$before") <(volumes))
  wanted=$([ "$#" -eq 0 ] || printf "${PROJECT}_%s\n" "$@" | sort)
  [ "$come" = "$wanted" ] || { say "volumes that are left: ${come//$'\n'/ }; expected: ${wanted//$'\n'/ }"; return 1; }
}

has_memory() {
  local one
  for one in $(containers); do
    [ "$($ENGINE inspect --format '{{.State.OOMKilled}}' "$one")" = false ] || fail "out of memory: $($ENGINE inspect --format '{{.Name}}' "$one")"
  done
  say "nothing ran out of memory:"
  $ENGINE stats --no-stream --format '{{.Name}} {{.MemUsage}}' $(containers --filter status=running)
}

exec 3>&1
finish() {
  status=$?
  trap - EXIT
  exec >&3 2>&3 # an interrupt may come while output is thrown away
  if [ "$status" -ne 0 ]; then
    for service in pipeline jobmanager taskmanager data-generator flagger lab; do
      [ -z "$(container $service)" ] || { say "the end of $service's log"; log $service | tail -n 30; }
    done
  fi
  say "taking it down, with its volumes"
  { demo down --volumes --remove-orphans; lab down --volumes --remove-orphans; } >/dev/null 2>&1 || true
  keeps || [ "$status" -ne 0 ] || status=1
  [ -z "${made_env:-}" ] || rm -f .env
  [ "$status" -ne 0 ] || say "all passed"
  exit "$status"
}

part_build() {
  say "building"
  if [ -n "${BUILD:-}" ]; then
    $BUILD -t fraudlab:0.1.0 .
    $BUILD --build-arg REQUIREMENTS=dev -t fraudlab-lab:0.1.0 .
  else
    demo build --quiet
    lab build --quiet
  fi
  say "both images are there"
}

part_demo() {
  local service started early="jobmanager taskmanager pipeline data-generator flagger notifier"
  say "the demo; who needs others is started before them"
  demo up --detach --no-build --no-deps $early
  for service in $early; do await 120 "$service says what it waits for" says "$service" "waiting for"; done
  demo up --detach --no-build
  await 300 "the jobs run" ended_well pipeline
  for service in mysql kafka zookeeper jobmanager taskmanager flink-page inbox data-generator flagger notifier dashboard; do
    await 180 "$service is healthy" is_healthy $service
  done
  [ "$(addresses pipeline dashboard)" = http://127.0.0.1:18080 ] || fail "not one address to open: $(addresses pipeline dashboard)"
  for port in 18080 18025; do await 30 "port $port opens from here" opens "http://127.0.0.1:$port"; done
  await 30 "Flink's page asks who comes" asks http://127.0.0.1:18081
  opens "$(inside flink-page fraudlab open flink --no-browser | head -n 1)" || fail "Flink's page does not know its own token"

  say "the bank pays for $PAYING_S s; then containers are killed"
  sleep "$PAYING_S" # the demo's length, not a wait for anything
  started=$(started_at taskmanager)
  inside taskmanager bash -c 'cat /control/taskmanager.alive > /control/taskmanager.kill'
  await 180 "the killed TaskManager is back" was_restarted taskmanager "$started"
  started=$(started_at kafka)
  inside taskmanager bash -c 'cat /control/kafka.alive > /control/kafka.kill'
  await 180 "the killed Kafka is back" was_restarted kafka "$started"
  started=$(started_at flagger)
  inside flagger python -c "import os, signal, psutil; [one.send_signal(signal.SIGKILL) for one in psutil.process_iter() if 'fraudlab.services.flagger' in one.cmdline()]" || true
  await 180 "the killed flagger is back" was_restarted flagger "$started"
  has_memory
  demo stop data-generator >/dev/null 2>&1
  if inside dashboard fraudlab health data-generator >/dev/null; then fail "the bank is closed, and is said to be open"; fi
  verify
  say "the verdict is exact"

  say "down and up: data stays, and nothing else"
  demo down >/dev/null 2>&1
  keeps $KEPT
  # podman 4.3 does not start what depends on a container that has ended, as the pipeline's has by then
  [ "$ENGINE" != podman ] || demo up --detach --no-build --no-deps $early
  demo up --detach --no-build
  await 300 "the jobs run again" ended_well pipeline
  await 180 "the bank pays again" is_healthy data-generator
  demo stop data-generator >/dev/null 2>&1
  verify
  demo down --volumes >/dev/null 2>&1
  keeps
  say "down with its volumes"
}

part_lab() {
  local address payments
  say "the labs; JupyterLab is started before what it needs"
  lab up --detach --no-build --no-deps lab
  await 120 "lab says what it waits for" says lab "waiting for"
  lab up --detach --no-build
  await 300 "lab says where to go" says lab "/lab/tree/"
  address=$(addresses lab)
  [[ "$address" == http://127.0.0.1:18888/lab/*token=* && "$address" != *$'\n'* ]] || fail "not one address to open: $address"
  await 60 "JupyterLab opens from here" opens "$address"
  await 60 "lab is healthy" is_healthy lab
  inside lab fraudlab doctor
  inside taskmanager fraudlab doctor
  # shellcheck disable=SC2086 # may be several
  inside lab pytest -p no:cacheprovider --nbval-lax $SOLUTIONS
  say "the solutions pass"
  has_memory

  say "down and up: a learner's job goes on"
  learner python -c "from fraudlab.course import lab; lab.catch_up('03')"
  payments=$(captured)
  learner fraudlab generate -n 100 --users 100 --rate 0 --quiet
  await 60 "the job captures payments" has_captured $((payments + 100))
  lab down >/dev/null 2>&1
  keeps $KEPT lab-secrets my-labs
  lab up --detach --no-build
  await 300 "JupyterLab opens again" opens "$address"
  learner fraudlab generate -n 100 --users 100 --rate 0 --seed 2 --quiet
  await 120 "the job captures payments again" has_captured $((payments + 200))
  lab down --volumes >/dev/null 2>&1
  keeps
  say "down with its volumes"
}

[ "$#" -gt 0 ] || set -- build demo lab
for part in "$@"; do
  case "$part" in build | demo | lab) ;; *) fail "there is no part $part: build, demo, lab" ;; esac
done
[ -z "$(containers)" ] || fail "containers of an earlier $PROJECT are there: $COMPOSE -p $PROJECT down --volumes removes them"
for port in 18080 18081 18025 18888; do
  is_free "$port" || fail "port $port is taken: is your own lab up?"
done
[ -e .env ] || made_env=yes
sh containers/make-env.sh >/dev/null
before=$(volumes)
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
for part in "$@"; do "part_$part"; done
