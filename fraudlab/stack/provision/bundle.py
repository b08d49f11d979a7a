"""Local sources for a set-up without a network: the folder `bundle`, beside bootstrap.py, in what `make bundle` packed.

If that folder is there, nothing is downloaded. `pack` packs it; the other modules ask this one.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

from fraudlab.errors import UserError
from fraudlab.stack.provision.paths import REPOSITORY, lock

FOLDER = REPOSITORY / "bundle"
LOCKS = ("uv", "installer", "run", "dev", "java")
"""The locks whose packages a bundle holds."""

ADVICE = (
    "Unpack the bundle again, into a new folder. If that does not help, its file is damaged: copy it again. "
    "To download everything instead, remove the folder `bundle`."
)


def is_here() -> bool:
    """Whether this repository was unpacked from a bundle."""
    return FOLDER.is_dir()


def wheels(folder: Path) -> Path:
    """The Python packages in a bundle's folder, source distributions among them."""
    return folder / "wheels"


def python(folder: Path) -> Path:
    """The archive of Python in a bundle's folder, as uv caches it."""
    return folder / "python"


def libraries(folder: Path) -> Path:
    """The shared libraries in a bundle's folder."""
    return folder / "libraries"


def stamp(folder: Path) -> Path:
    """The file that is unpacked last. It says for which locks a bundle was made."""
    return folder / "complete-for"


def digest() -> str:
    """Of the locks."""
    return hashlib.sha256(bytes(1).join(lock(name).read_bytes() for name in (*LOCKS, "jars"))).hexdigest()


def require_whole() -> None:
    """Raise UserError if only a part of the bundle was unpacked, or if it was made for other locks than today's."""
    if not stamp(FOLDER).exists() or stamp(FOLDER).read_text(encoding="utf-8") != digest():
        raise UserError(
            f"The bundle in {FOLDER} is incomplete, or belongs to another version of this repository.", ADVICE
        )


def uv_environment() -> dict[str, str]:
    """The environment in which uv takes everything from the bundle."""
    return {**os.environ, "UV_OFFLINE": "1", "UV_PYTHON_CACHE_DIR": str(python(FOLDER))}


def install_options() -> list[str]:
    """What makes pip and uv install from the bundle; nothing if there is none."""
    return (
        ["--no-index", "--find-links", wheels(FOLDER).as_uri()] if is_here() else []
    )  # a `#` in a plain path starts a fragment


def unpack_uv(program: Path) -> None:
    """Take uv out of its wheel, which is a zip archive: whatever Python is here needs no pip for that."""
    wheel = next(wheels(FOLDER).glob("uv-*.whl"), None)
    content = wheel.read_bytes() if wheel else b""
    if hashlib.sha256(content).hexdigest() not in lock("uv").read_text(encoding="utf-8"):
        raise UserError(f"The bundle in {FOLDER} has no undamaged uv.", ADVICE)
    assert wheel is not None
    with zipfile.ZipFile(wheel) as archive:
        inside = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_bytes(archive.read(inside))
    program.chmod(0o755)
