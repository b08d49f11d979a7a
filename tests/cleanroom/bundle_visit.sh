#!/usr/bin/env bash
# What an ordinary user types in the room of bundle.sh, where there is only the bundle's file. Lines that begin with == are its result.
set -euo pipefail
cd "$HOME"

began=$SECONDS
tar -xf /media/fraudlab-bundle.tar
echo "== unpacked in $((SECONDS - began)) s"
cd fraudlab

began=$SECONDS
python3 bootstrap.py
echo "== set up in $((SECONDS - began)) s"

make demo | tee "$HOME/demo.log"
grep -E '^ *EXACT:' "$HOME/demo.log" >/dev/null || { echo "The demo did not reach EXACT."; exit 1; }
echo "== $(grep -E '^ *EXACT:' "$HOME/demo.log")"
make stop

began=$SECONDS
make lab >"$HOME/lab.log" 2>&1 &
address=''
until [[ -n $address ]]; do
  [[ $((SECONDS - began)) -lt 150 ]] && kill -0 $! || { cat "$HOME/lab.log"; echo "make lab printed no address."; exit 1; }
  sleep 0.2
  address=$(grep -oE 'http://127[^ ]*token=[^ ]*' "$HOME/lab.log" | head -n 1 || true)
done
python3 - "$address" <<'PYTHON'
import sys, time, urllib.error, urllib.request

deadline = time.monotonic() + 60
while True:
    try:
        page = urllib.request.urlopen(sys.argv[1], timeout=10).read().decode()
        break
    except urllib.error.URLError:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.2)
if "jupyter-config-data" not in page:
    sys.exit("This is not JupyterLab:\n" + page[:2000])
PYTHON
cat "$HOME/lab.log"
echo "== make lab: JupyterLab answers after $((SECONDS - began)) s"
make stop
