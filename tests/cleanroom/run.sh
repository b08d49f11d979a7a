#!/usr/bin/env bash
# Proves the README's promise on machines that have nothing: a minimal Debian in a folder, a clone of the committed HEAD,
# and `make demo`, which must end with EXACT; then again with no network at all.
#
#   tests/cleanroom/run.sh                         what CI runs: bookworm root, then bookworm user
#   tests/cleanroom/run.sh trixie user             one room; more pairs of release and user make more rooms
#   tests/cleanroom/run.sh --cold bookworm user    without the downloads of earlier runs
#   tests/cleanroom/run.sh --keep bookworm user    leaves the room's folder, to look at
#
# A room has Debian's smallest system plus python3, python3-venv, git, make and ca-certificates. `user` has no sudo and no password.
# Each room has its own file system, processes, host name and network: it reaches the world through slirp4netns and this machine's
# ports not at all, so a stack that runs on this machine does not disturb it. Nothing stays mounted or running afterwards.
#
# What a room gets from this machine, because an administrator would have set it up:
#   - certificates in /usr/local/share/ca-certificates (a company's own, for example), added with update-ca-certificates;
#   - the variables in HANDED_OVER below, if they are set, and the files that they name;
#   - in trixie, whose Python is 3.13: a mirror for uv with this machine's Python 3.11 (tests/cleanroom/python_mirror.py),
#     unless UV_PYTHON_INSTALL_MIRROR names one.
#
# FRAUDLAB_CLEANROOM_CACHE keeps between runs: the minimal systems, logs, and downloads (~/.cache, ~/.m2 and apt's archives are
# mounted into each room from there, except with --cold and without a network). Remove the folder to begin from nothing.
# FRAUDLAB_CLEANROOM_MIRROR names a Debian mirror, if apt on this machine has none. DEMO_SECONDS (20) is the demo's length.
#
# Needs root, and debootstrap and slirp4netns, which it installs with apt-get. Where that is impossible it says so and exits with 0.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
cache=${FRAUDLAB_CLEANROOM_CACHE:-/var/tmp/fraudlab-cleanroom}
rooms=$cache/rooms logs=$cache/logs downloads=$cache/downloads

PACKAGES=python3,python3-venv,git,make,ca-certificates
HANDED_OVER=(
  HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy SSL_CERT_FILE PIP_CERT
  PIP_INDEX_URL PIP_EXTRA_INDEX_URL UV_INDEX_URL UV_DEFAULT_INDEX UV_INDEX UV_PYTHON_INSTALL_MIRROR UV_PYTHON_DOWNLOADS_JSON_URL
)
LIMIT_S=420   # of one visit to a room; a hanging one must not hang CI
LOG_END=60    # lines of a room's log that a failure shows

cold='' keep='' room='' visit='' network=''

main() {
  while [[ ${1:-} == --* ]]; do
    case $1 in
      --cold) cold=1 ;;
      --keep) keep=1 ;;
      --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
      *) usage ;;
    esac
    shift
  done
  [[ $# -gt 0 ]] || set -- bookworm root bookworm user
  local pair=("$@")
  while [[ $# -gt 0 ]]; do
    [[ $1 =~ ^(bookworm|trixie)$ && ${2:-} =~ ^(user|root)$ ]] || usage
    shift 2
  done

  require_machine
  mkdir -p "$rooms" "$logs" "$downloads"
  exec 9>"$cache/lock"
  flock --nonblock 9 || { say "waiting for another run, which uses $cache"; flock 9; }
  trap leave EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  rm -rf --one-file-system "${rooms:?}"/*   # of a run that was killed

  if [[ -n $(git_here status --porcelain) ]]; then
    say "note: the rooms get the committed HEAD; uncommitted changes are not in it"
  fi
  set -- "${pair[@]}"
  while [[ $# -gt 0 ]]; do
    try_room "$1" "$2"
    shift 2
  done
  say "all rooms reached EXACT"
}

usage() {
  echo "Usage: tests/cleanroom/run.sh [--cold] [--keep] [bookworm|trixie user|root]..." >&2
  echo "Next: tests/cleanroom/run.sh --help" >&2
  exit 2
}

say() { printf '[%02d:%02d] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$1"; }

skip() {
  echo "CLEAN ROOMS SKIPPED: $1"
  exit 0
}

# --- this machine ---

require_machine() {
  [[ $(uname -sm) == "Linux x86_64" ]] || skip "they need Linux on x86-64."
  [[ $(id -u) == 0 ]] || skip "they need root, to make a system in a folder. Run them with sudo."
  local missing=()
  command -v debootstrap >/dev/null || missing+=(debootstrap debian-archive-keyring)
  command -v slirp4netns >/dev/null || missing+=(slirp4netns)
  command -v ip >/dev/null || missing+=(iproute2)
  if [[ ${#missing[@]} -gt 0 ]]; then
    command -v apt-get >/dev/null || skip "this machine lacks ${missing[*]} and has no apt-get to install them."
    say "installing ${missing[*]}"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
      >/dev/null || skip "apt-get could not install ${missing[*]}."
  fi
  unshare --net --mount --uts --ipc --pid --fork true 2>/dev/null || skip "this machine does not allow namespaces (in a container without privileges?)."
  [[ -c /dev/net/tun ]] || skip "this machine has no /dev/net/tun, which a network for a room needs."
}

# The Debian mirror that apt on this machine uses; nothing if it has none.
mirror() {
  # shellcheck disable=SC2016  # apt-get fills it in
  local ask=(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian')
  [[ -n $("${ask[@]}") ]] || apt-get update -qq >&2 || true
  echo "${FRAUDLAB_CLEANROOM_MIRROR:-$("${ask[@]}" | sort -u | sed 1q)}"
}

git_here() { git -c safe.directory="$repository" -C "$repository" "$@"; }

# --- a room ---

make_base() {
  local release=$1 base=$cache/$1 from
  [[ $(cat "$base/etc/fraudlab-cleanroom" 2>/dev/null) != "$PACKAGES" ]] || return 0
  from=$(mirror)
  [[ -n $from ]] || skip "apt on this machine has no Debian mirror. Set FRAUDLAB_CLEANROOM_MIRROR."
  say "$release: debootstrap makes the minimal system (once)"
  rm -rf --one-file-system "$base" "$base.new"
  debootstrap --variant=minbase --include="$PACKAGES" "$release" "$base.new" "$from" >"$logs/$release-base.log" 2>&1 \
    || fail "$release: debootstrap failed" "$logs/$release-base.log"
  chroot "$base.new" apt-get clean
  chroot "$base.new" useradd --create-home --shell /bin/bash learner
  printf '127.0.0.1 localhost\n127.0.1.1 cleanroom\n::1 localhost\n' >"$base.new/etc/hosts"
  echo cleanroom >"$base.new/etc/hostname"
  echo "nameserver 10.0.2.3" >"$base.new/etc/resolv.conf"   # slirp4netns answers there
  echo "$PACKAGES" >"$base.new/etc/fraudlab-cleanroom"
  mv "$base.new" "$base"
}

try_room() {
  local release=$1 who=$2 name="$1 $2" user home log=$logs/$1-$2.log began=$SECONDS
  if [[ $who == root ]]; then user=root home=/root; else user=learner home=/home/learner; fi
  make_base "$release"
  local settings=("DEMO_SECONDS=${DEMO_SECONDS:-20}")
  if [[ $release == trixie && -z ${UV_PYTHON_INSTALL_MIRROR:-} ]]; then
    make_python_mirror || skip "trixie needs a Python 3.11 from this machine; see above."
    settings+=("UV_PYTHON_INSTALL_MIRROR=file:///srv/python" "UV_PYTHON_DOWNLOADS_JSON_URL=file:///srv/python/downloads.json")
  fi

  room=$rooms/$release-$who
  cp -a --reflink=auto "$cache/$release" "$room"
  hand_over_certificates
  if [[ ${settings[*]} == *file:///srv/python* ]]; then cp -a "$cache/python-mirror" "$room/srv/python"; fi
  local variable
  for variable in "${HANDED_OVER[@]}"; do
    [[ -z ${!variable:-} ]] || settings+=("$variable=${!variable}")
  done
  git_here clone --quiet --depth 1 "file://$repository" "$room$home/fraudlab"
  if [[ -z $cold ]]; then mkdir -p "$room$home/.cache" "$room$home/.m2"; fi   # where the downloads are mounted
  chroot "$room" chown -R "$user:" "$home"

  : >"$log"
  say "$name: make demo on a machine that has nothing (log: $log)"
  visit_room online "$user" "$home" "$log" "${settings[@]}"
  say "$name: EXACT after $((SECONDS - began)) s; make demo again without any network"
  began=$SECONDS
  visit_room offline "$user" "$home" "$log" "${settings[@]}"
  say "$name: EXACT after $((SECONDS - began)) s without any network"
  empty_room
}

# The tools in a room see no file of this machine: what an administrator installs is copied.
hand_over_certificates() {
  local variable file
  if compgen -G "/usr/local/share/ca-certificates/*.crt" >/dev/null; then
    cp /usr/local/share/ca-certificates/*.crt "$room/usr/local/share/ca-certificates/"
    chroot "$room" update-ca-certificates >/dev/null 2>&1
  fi
  for variable in SSL_CERT_FILE PIP_CERT; do
    file=${!variable:-}
    [[ -z $file || ! -f $file ]] || install -D -m 644 "$file" "$room$file"
  done
}

make_python_mirror() {
  local python
  python=$(command -v python3.11) || { echo "This machine has no python3.11 to pack for the room. Next: install one, with its shared library."; return 1; }
  command -v patchelf >/dev/null || apt-get install -y -qq --no-install-recommends patchelf >/dev/null || return 1
  "$python" "$here/python_mirror.py" "$cache/python-mirror"
}

# One visit: `make demo`, `make stop`, with new processes and a new network. The demo must end with EXACT, and nothing may run on.
visit_room() {
  local how=$1 user=$2 home=$3 log=$4 begins ends
  shift 4
  begins=$(wc -l <"$log")
  local shared=()
  if [[ -z $cold && $how == online ]]; then
    mkdir -p "$downloads/cache" "$downloads/m2" "$downloads/apt/$(basename "${room%-*}")/partial"
    chown -R "$(chroot "$room" id -u "$user")" "$downloads/cache" "$downloads/m2"
    shared=("$downloads/cache=$home/.cache" "$downloads/m2=$home/.m2" "$downloads/apt/$(basename "${room%-*}")=/var/cache/apt/archives")
  fi

  setpriv --pdeathsig KILL \
    unshare --net --mount --uts --ipc --pid --fork --kill-child \
    bash "$here/inside.sh" "$how" "$room" "$user" "$home" "$LIMIT_S" "${shared[@]}" -- "$@" >>"$log" 2>&1 9>&- </dev/null &
  visit=$!
  if [[ $how == online ]]; then
    until [[ $(readlink "/proc/$visit/ns/net") != "$(readlink /proc/self/ns/net)" ]]; do
      kill -0 "$visit" 2>/dev/null || break
      sleep 0.05
    done
    setpriv --pdeathsig KILL \
      slirp4netns --configure --mtu=65520 --disable-host-loopback "$visit" tap0 >>"$log" 2>&1 9>&- </dev/null &
    network=$!
  fi
  local status=0
  wait "$visit" || status=$?
  end_visit
  ends=$(tail -n +$((begins + 1)) "$log")
  [[ $status == 0 ]] || fail "$name, $how: make demo or make stop failed (status $status)" "$log"
  grep -E '^ *EXACT:' <<<"$ends" || fail "$name, $how: make demo ended without EXACT" "$log"
}

end_visit() {
  local process
  for process in $visit $network; do
    kill -KILL "$process" 2>/dev/null || true   # unshare ignores a TERM; what is in the room ends with it
    wait "$process" 2>/dev/null || true
  done
  visit='' network=''
}

empty_room() {
  if [[ -z $room || ! -d $room ]]; then return; fi
  if [[ -n $keep ]]; then say "the room is left in $room until the next run"; else rm -rf --one-file-system "$room"; fi
  room=''
}

fail() {
  echo
  echo "---- the end of $2"
  tail -n "$LOG_END" "$2"
  echo "----"
  say "FAILED: $1. All of it: $2"
  exit 1
}

leave() {
  local status=$?
  trap - EXIT
  end_visit
  empty_room
  exit "$status"
}

main "$@"; exit
