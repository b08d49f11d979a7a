#!/usr/bin/env bash
# Proves that a bundle needs no network: `make bundle` here, then a room that has nothing and reaches nothing unpacks the file,
# and in it `make demo` must end with EXACT and `make lab` must open JupyterLab.
#
#   tests/cleanroom/bundle.sh                   Debian 12
#   tests/cleanroom/bundle.sh trixie            Debian 13, whose Python is 3.13
#   tests/cleanroom/bundle.sh --keep bookworm   leaves the room's folder, to look at
#
# The room has Debian's smallest system plus python3 and make: no pip, no venv, no git, no certificates. Its user has no sudo and no
# password, its only network interface is lo, and it sees the bundle as a read-only file, like one on a USB stick.
#
# Where UV_PYTHON_INSTALL_MIRROR is not set, the Python in the bundle is this machine's, packed by python_mirror.py, because a
# machine that runs tests may not reach GitHub.
#
# FRAUDLAB_CLEANROOM_CACHE, FRAUDLAB_CLEANROOM_MIRROR and DEMO_SECONDS (15) mean what they mean in run.sh.
# Needs root and debootstrap. Where they are missing it says so and exits with 0.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
cache=${FRAUDLAB_CLEANROOM_CACHE:-/var/tmp/fraudlab-cleanroom}
bundle=$repository/fraudlab-bundle.tar

PACKAGES=python3,make
LIMIT_S=400   # of the visit; a hanging one must not hang CI

keep='' release=bookworm room=''
settings=("DEMO_SECONDS=${DEMO_SECONDS:-15}")

main() {
  if [[ ${1:-} == --keep ]]; then keep=1; shift; fi
  if [[ $# -gt 0 ]]; then release=$1; shift; fi
  [[ $release =~ ^(bookworm|trixie)$ && $# == 0 ]] || { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 2; }
  require_machine
  mkdir -p "$cache/rooms" "$cache/logs"
  exec 9>"$cache/bundle.lock"
  flock 9
  make_base
  make_bundle
  trap leave EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  room=$cache/rooms-bundle/$release log=$cache/logs/bundle-$release.log
  rm -rf --one-file-system "$room"
  mkdir -p "$(dirname "$room")"
  cp -a --reflink=auto "$cache/$release-bare" "$room"
  touch "$room/media/fraudlab-bundle.tar"
  cp "$here/bundle_visit.sh" "$room/srv/"
  if [[ -n ${UV_PYTHON_DOWNLOADS_JSON_URL:-} ]]; then cp "${UV_PYTHON_DOWNLOADS_JSON_URL#file://}" "$room/srv/downloads.json"; settings+=(UV_PYTHON_DOWNLOADS_JSON_URL=file:///srv/downloads.json); fi
  say "$release: the bundle in a room without a network (log: $log)"
  visit >"$log" 2>&1 9>&- </dev/null || fail "the bundle does not work without a network" "$log"
  grep -E '^== ' "$log" | sed 's/^== /        /'
  say "$release: EXACT, and JupyterLab answers, without a network"
}

say() { printf '[%02d:%02d] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$1"; }

skip() {
  echo "CLEAN ROOM OF THE BUNDLE SKIPPED: $1"
  exit 0
}

require_machine() {
  [[ $(uname -sm) == "Linux x86_64" ]] || skip "it needs Linux on x86-64."
  [[ $(id -u) == 0 ]] || skip "it needs root, to make a system in a folder. Run it with sudo."
  command -v debootstrap >/dev/null || skip "this machine has no debootstrap. tests/cleanroom/run.sh installs it."
  command -v ip >/dev/null || skip "this machine has no ip. tests/cleanroom/run.sh installs it."
  unshare --net --mount --uts --ipc --pid --fork true 2>/dev/null || skip "this machine does not allow namespaces (in a container without privileges?)."
}

make_base() {
  local base=$cache/$release-bare from=${FRAUDLAB_CLEANROOM_MIRROR:-}
  [[ $(cat "$base/etc/fraudlab-cleanroom" 2>/dev/null) != "$PACKAGES" ]] || return 0
  [[ -n $from ]] || from=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)
  [[ -n $from ]] || skip "apt on this machine has no Debian mirror. Set FRAUDLAB_CLEANROOM_MIRROR."
  say "$release: debootstrap makes the minimal system (once)"
  rm -rf --one-file-system "$base" "$base.new"
  debootstrap --variant=minbase --include="$PACKAGES" "$release" "$base.new" "$from" >"$cache/logs/$release-bare.log" 2>&1 \
    || fail "debootstrap failed" "$cache/logs/$release-bare.log"
  chroot "$base.new" apt-get clean
  chroot "$base.new" useradd --create-home --shell /bin/bash learner
  printf '127.0.0.1 localhost\n127.0.1.1 cleanroom\n::1 localhost\n' >"$base.new/etc/hosts"
  rm -f "$base.new/etc/resolv.conf"
  echo "$PACKAGES" >"$base.new/etc/fraudlab-cleanroom"
  mv "$base.new" "$base"
}

make_bundle() {
  local python
  if [[ -z ${UV_PYTHON_INSTALL_MIRROR:-} ]]; then
    python=$(command -v python3.11) || skip "this machine has no python3.11 to put into the bundle."
    command -v patchelf >/dev/null || apt-get install -y -qq --no-install-recommends patchelf >/dev/null || skip "this machine has no patchelf."
    "$python" "$here/python_mirror.py" "$cache/python-mirror"
    export UV_PYTHON_INSTALL_MIRROR=file://$cache/python-mirror UV_PYTHON_DOWNLOADS_JSON_URL=file://$cache/python-mirror/downloads.json
  fi
  say "make bundle"
  make -C "$repository" --no-print-directory bundle
}

# The user's commands, in namespaces of their own: everything ends with them.
visit() {
  # shellcheck disable=SC2016 # for the inner shell
  setpriv --pdeathsig KILL unshare --net --mount --uts --ipc --pid --fork --kill-child bash -euc '
    room=$1 bundle=$2 limit_s=$3
    shift 3
    hostname cleanroom
    ip link set lo up
    mount -t proc proc "$room/proc"
    mount -t sysfs -o ro sysfs "$room/sys"
    mount -t tmpfs -o mode=1777 shm "$room/dev/shm"
    mount --bind -o ro "$bundle" "$room/media/fraudlab-bundle.tar"
    chroot --userspec=learner:learner "$room" env -i HOME=/home/learner USER=learner LOGNAME=learner SHELL=/bin/bash TERM=dumb \
      PATH=/usr/local/bin:/usr/bin:/bin "$@" timeout --kill-after=10 "$limit_s" bash /srv/bundle_visit.sh || exit   # not exec: the first process must reap orphans
  ' bash "$room" "$bundle" "$LIMIT_S" "${settings[@]}"
}

fail() {
  echo "---- the end of $2"
  tail -n 60 "$2"
  echo "----"
  say "FAILED: $1. All of it: $2"
  exit 1
}

leave() {
  local status=$?
  trap - EXIT
  if [[ -n $keep ]]; then say "the room is left in $room until the next run"; else rm -rf --one-file-system "$room"; fi
  exit "$status"
}

main "$@"
