"""A machine on which IPv6 is off: all of it starts, fraud is caught, and the verdict is exact.

The machine is a network namespace of its own, so nothing here meets the ports of another system.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fraudlab.settings import Settings
from fraudlab.stack import second_stack
from fraudlab.stack.supervisor import Stack
from tests.support.home import run

BIN = Path(sys.executable).parent
LOOPBACK_ONLY = """
import fcntl, os, pathlib, socket, struct, sys

SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
switch = pathlib.Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
if switch.exists():
    switch.write_text("1")
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP | IFF_RUNNING))
try:
    socket.create_server(("::1", 0), family=socket.AF_INET6)
    sys.exit("IPv6 is still on")
except OSError:
    os.execvp(sys.argv[1], sys.argv[1:])
"""
WHAT_PEOPLE_DO = """
set -e
fraudlab up
fraudlab generate --transactions 200 --rate 100 --users 200 --quiet
fraudlab generate --commit-fraud 42
fraudlab verify
fraudlab status
fraudlab verify --json >"$1"
"""


@pytest.fixture
def namespace() -> list[str]:
    """The command that runs another one in a network namespace of its own."""
    command = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no unshare here, so no machine without IPv6 can be made")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespace may be made here, so no machine without IPv6: {error.stderr.strip()}")
    return command


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """The environment of a system of its own, which is stopped and wiped at the end."""
    if Settings().in_container:
        pytest.skip("in a container, the network is Docker's")
    chosen = second_stack.environment(Settings(), "no ipv6", print)
    stack = Stack(Settings(home=Path(chosen["FRAUDLAB_HOME"])), print)
    stack.reset()
    try:
        yield chosen | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    finally:
        stack.reset()


def test_all_of_it_works_where_ipv6_is_off(namespace: list[str], environment: dict[str, str], tmp_path: Path) -> None:
    verdict = tmp_path / "verdict.json"
    inside = [sys.executable, "-c", LOOPBACK_ONLY, "sh", "-c", WHAT_PEOPLE_DO, "sh", str(verdict)]
    run([*namespace, *inside], print, environment)
    found = json.loads(verdict.read_text(encoding="utf-8"))
    assert found["exact"]
    assert found["counts"]["activities"] > 0
