#!/usr/bin/env bash
# The first process of a clean room, in namespaces of its own: run.sh starts it, and everything in the room ends with it.
# Usage: inside.sh online|offline ROOM USER HOME LIMIT_S [FOLDER=PLACE]... -- [NAME=VALUE]...
set -euo pipefail
how=$1 room=$2 user=$3 home=$4 limit_s=$5
shift 5

mount --bind "$room" "$room"   # pivot_root wants a mount
cd "$room"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 dev dev
for device in null zero full random urandom tty; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for stream in stdin:0 stdout:1 stderr:2; do ln -s "/proc/self/fd/${stream#*:}" "dev/${stream%:*}"; done
while [[ $1 != -- ]]; do
  mount --bind "${1%%=*}" ".${1#*=}"
  shift
done
shift

hostname cleanroom
ip link set lo up
if [[ $how == online ]]; then
  deadline=$((SECONDS + 20))
  until [[ -n $(ip route show default) ]]; do
    [[ $SECONDS -lt $deadline ]] || { echo "The room got no network from slirp4netns within 20 s."; exit 1; }
    sleep 0.05
  done
fi

mkdir -p .host
pivot_root . .host
cd /
umount --lazy /.host
rmdir /.host

as_user() {
  local privileges=()
  [[ $user == root ]] || privileges=(--reuid="$user" --regid="$user" --init-groups --no-new-privs --inh-caps=-all --bounding-set=-all)
  timeout --kill-after=10 "$limit_s" setpriv "${privileges[@]}" \
    env -i "HOME=$home" "USER=$user" "LOGNAME=$user" SHELL=/bin/bash TERM=dumb \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}
settings=("$@")
in_clone() { as_user "${settings[@]}" bash -c 'cd "$HOME/fraudlab" && exec "$@"' bash "$@"; }

# All processes of the room but this one. Reading them must start none, or it would find itself.
still_running() {
  local folder command
  running=()
  for folder in /proc/[0-9]*; do
    [[ $folder != /proc/1 ]] || continue
    command=''
    while IFS= read -r -d '' word || [[ -n $word ]]; do command+="$word "; done 2>/dev/null <"$folder/cmdline" || true
    [[ -z $command ]] || running+=("${folder#/proc/}: ${command:0:150}")
  done
  [[ ${#running[@]} -gt 0 ]]
}

echo "== $how: make demo"
status=0
in_clone make demo || status=$?
[[ $status -ne 124 ]] || echo "make demo did not end within $limit_s s."
[[ $status -eq 0 ]] || exit "$status"
echo "== $how: make stop"
in_clone make stop
deadline=$((SECONDS + 10))
while still_running; do
  if [[ $SECONDS -ge $deadline ]]; then
    echo "make stop left these running:"
    printf '  %s\n' "${running[@]}"
    exit 1
  fi
  sleep 0.2
done
