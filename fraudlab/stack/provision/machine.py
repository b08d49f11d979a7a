"""Whether this machine can run the stack without containers, asked before anything is downloaded."""

from __future__ import annotations

import os
import platform

from fraudlab.errors import UserError

GLIBC = (2, 28)
"""The oldest C library that all compiled packages still support (`manylinux_2_28`)."""

CONTAINERS = "Use containers; they need only Docker with Compose 2.24 or newer:\n  sh containers/make-env.sh\n  docker compose up"


def require_supported() -> None:
    """Raise UserError, with the commands for containers, unless this is Linux on x86-64 with glibc 2.28 or newer."""
    system, processor = platform.system(), platform.machine().lower().replace("amd64", "x86_64")
    if (system, processor) != ("Linux", "x86_64"):
        raise UserError(
            f"This machine is {system} on {processor}. Without containers the stack runs only on Linux on x86-64: "
            "there is no MySQL server to download for anything else.",
            CONTAINERS,
        )
    version = glibc()
    if version is None or version < GLIBC:
        found = "no glibc (Alpine and other musl systems)" if version is None else f"glibc {version[0]}.{version[1]}"
        raise UserError(
            f"This system has {found}. PyFlink's compiled parts need glibc {'.'.join(map(str, GLIBC))} or newer.",
            CONTAINERS,
        )


def glibc() -> tuple[int, int] | None:
    """The version of this system's glibc; None if its C library is another one."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (ValueError, OSError):
        return None
    if name != "glibc":
        return None
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
