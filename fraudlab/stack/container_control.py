"""Programs of the stack that run in containers of their own: what `containers/breakable.sh`, which starts each of them, tells and does."""

from pathlib import Path

from fraudlab.errors import UserError

CONTROL = Path("/control")
"""A volume that all containers share."""


def life(name: str) -> int:
    """A number that a program has from its start to its end, as a process has its id; 0 where nothing is known of it."""
    try:
        return int((CONTROL / f"{name}.alive").read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 0


def kill(name: str) -> int:
    """Has a program killed (SIGKILL), and gives the number of the life that ends. Docker starts its container again."""
    ending = life(name)
    if not ending:
        raise UserError(f"{name} is not running, so it cannot be killed.", "`docker compose ps` shows what runs.")
    (CONTROL / f"{name}.kill").write_text(f"{ending}\n", encoding="ascii")
    return ending
