"""A second system of this project beside the first, for tests and measurements: software is shared, data and ports are not."""

import random
import zlib
from collections.abc import Collection
from itertools import chain
from pathlib import Path

from fraudlab.errors import UserError
from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack import ports
from fraudlab.stack.supervisor import Progress, Stack

PORT_RANGE = range(20_000, 30_000)
"""Below those that outgoing connections take: one of them could sit on the port of a service that was just killed."""
BASES = range(20_050, 23_600, 50)
"""Bases for all ports of a system. No two of them share a port, nor does any with 10000 and 20000, which people use."""
REMEMBERED = "port-base"
_PORTS = tuple(name for name in Settings.model_fields if name.endswith("_port"))


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
    remembered = home / REMEMBERED
    with Stack(shared).alone(progress):  # two that start at once must not find the same ports free
        if remembered.exists() and Stack(shared.model_copy(update={"home": home})).is_running():
            base = _read(remembered)
        else:
            base = free_base(home, {_read(other) for other in first.glob(f"*/{REMEMBERED}") if other != remembered})
            remembered.write_text(f"{base}\n", encoding="utf-8")
    chosen = {"FRAUDLAB_HOME": str(home), "FRAUDLAB_LEARNER": "", "FRAUDLAB_PORT_BASE": str(base)}
    chosen["FRAUDLAB_CLASS_SHARING"] = "false"  # such a system rarely starts again, and its first end would take longer
    return {f"FRAUDLAB_{name.upper()}": "" for name in _PORTS} | chosen  # what is set to nothing has its default


def free_base(home: Path, taken: Collection[int] = ()) -> int:
    """A base that is not taken, and whose ports are all free. Systems of other clones begin to look elsewhere."""
    first = zlib.crc32(str(home).encode()) % len(BASES)
    for base in chain(BASES[first:], BASES[:first]):
        if base not in taken and all(ports.is_free(LOOPBACK, port) for port in ports_of(base)):
            return base
    raise UserError("No free ports are left for another system.", "End one of the systems that run: `make stop`.")


def ports_of(base: int) -> list[int]:
    """All ports of a system with this base."""
    values = Settings.model_construct(port_base=base).model_dump()
    return [values[name] for name in _PORTS]


def _read(remembered: Path) -> int:
    return int(remembered.read_text(encoding="utf-8"))


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    free: list[int] = []
    while len(free) < count:
        port = random.choice(PORT_RANGE)
        if port not in free and ports.is_free(LOOPBACK, port):
            free.append(port)
    return free
