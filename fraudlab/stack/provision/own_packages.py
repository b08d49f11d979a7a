"""Puts this repository's own packages and their commands into a Python environment. Standard library only: the set-up uses it."""

from __future__ import annotations

import contextlib
from pathlib import Path

PACKAGES = {"fraudlab": "fraudlab", "data_generator": "data-generator/src/data_generator"}
"""Name of each package, and its folder in the repository."""

WITHOUT_BEAM = (
    "fraudlab_without_beam.pth",
    "import sys; sys.orig_argv or sys.modules.__setitem__('apache_beam', None)\n",
)
"""A file that every Python of the environment runs at its start, and its content.

PyFlink imports Apache Beam before it looks whether it needs it, and Beam imports pandas, Google's clients and MongoDB's: two and a half
seconds of a processor and 100 MiB. Beam is for workers in processes of their own. Inside the TaskManager's JVM (thread mode), where
there is no command line, nothing of it is used; there PyFlink is told that there is none, which it accepts.
"""

COMMANDS = {"fraudlab": "fraudlab", "data-generator": "data_generator"}
"""Name of each command, and the package that is run for it."""

LAUNCHER = """#!/bin/sh
exec "$(dirname -- "$(readlink -f -- "$0")")/python" -P -m {package} "$@"
"""
"""No `#!` line holds a long path or one with a space, and pip's way out of that no quotation mark."""


def put_into(venv: Path, repository: Path) -> None:
    """Links to the packages, and a launcher for each command; what an editable install has left there goes.

    That install writes paths into `.pth` files, which Python 3.11 reads in the locale's encoding: no accent survives
    `LC_ALL=C`. A link has no encoding.
    """
    (site_packages,) = (venv / "lib").glob("python3*/site-packages")
    for name in PACKAGES:
        for left_over in site_packages.glob(f"__editable__*{name}*"):
            left_over.unlink()
    for name, folder in PACKAGES.items():
        _replace_by_link(site_packages / name, repository / folder)
    (site_packages / WITHOUT_BEAM[0]).write_text(WITHOUT_BEAM[1], encoding="ascii")
    for name, package in COMMANDS.items():
        script = venv / "bin" / name
        script.write_text(LAUNCHER.format(package=package), encoding="utf-8")
        script.chmod(0o755)


def are_in(venv: Path, repository: Path) -> bool:
    """Whether the environment has this repository's packages."""
    return any((venv / "lib").glob(f"python3*/site-packages/{WITHOUT_BEAM[0]}")) and all(
        [link.resolve() for link in (venv / "lib").glob(f"python3*/site-packages/{name}")] == [repository / folder]
        for name, folder in PACKAGES.items()
    )


def _replace_by_link(link: Path, target: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        link.unlink()
    link.symlink_to(target)
