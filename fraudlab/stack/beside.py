"""A second system of this project beside the first, for tests and measurements: software is shared, data and ports are not."""

import json
import random
import zlib

from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack import ports
from fraudlab.stack.supervisor import Progress, Stack

PORTS = (
    "MYSQL",
    "KAFKA",
    "KAFKA_CONTROLLER",
    "ZOOKEEPER",
    "FLINK_REST",
    "FLINK_RPC",
    "INBOX_SMTP",
    "INBOX_HTTP",
    "DASHBOARD",
)
PORT_RANGE = range(20_000, 30_000)
"""Below those that outgoing connections take: one of them could sit on the port of a service that was just killed."""
ROOM = 500
"""So many of them are for one system, chosen by its name: two that start at the same time would take the same one for free."""


def environment(shared: Settings, name: str, progress: Progress) -> dict[str, str]:
    """What of the environment makes `Settings()` those of the system `name` beside `shared`, whose software is installed first.

    Its home is a folder in that of `shared`. Its ports are free ones; while it runs they stay as they are.
    """
    first = shared.home.expanduser().resolve()
    home = first / name
    home.mkdir(parents=True, exist_ok=True)
    Stack(shared, progress).install()
    for folder in ("jars", "lib"):
        (first / folder).mkdir(exist_ok=True)
        if not (home / folder).is_symlink():
            (home / folder).symlink_to(first / folder)
    chosen = {"FRAUDLAB_HOME": str(home), "FRAUDLAB_LEARNER": ""}
    remembered = home / "ports.json"
    if remembered.exists() and Stack(shared.model_copy(update={"home": home})).is_running():
        numbers: dict[str, str] = json.loads(remembered.read_text(encoding="utf-8"))
    else:
        first_port = PORT_RANGE.start + zlib.crc32(name.encode()) % (len(PORT_RANGE) // ROOM) * ROOM
        free = free_ports(len(PORTS), range(first_port, first_port + ROOM))
        numbers = {f"FRAUDLAB_{port}_PORT": str(number) for port, number in zip(PORTS, free, strict=True)}
        remembered.write_text(json.dumps(numbers), encoding="utf-8")
    return chosen | numbers


def free_ports(count: int, among: range = PORT_RANGE) -> list[int]:
    """Ports that nothing listens on."""
    free: list[int] = []
    while len(free) < count:
        port = random.choice(among)
        if port not in free and ports.is_free(LOOPBACK, port):
            free.append(port)
    return free
