"""Where the repository keeps what the set-up reads."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
REQUIREMENTS = REPOSITORY / "requirements"
LOCAL_PACKAGES = (REPOSITORY, REPOSITORY / "data-generator")


def lock(name: str) -> Path:
    """A file of locked requirements: `run`, `dev`, `installer`, `uv`, `java` or `jars`."""
    return REQUIREMENTS / f"{name}.lock"
