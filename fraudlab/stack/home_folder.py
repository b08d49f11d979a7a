"""Whether a folder can be the home of a stack: found out by using it. Standard library only: the set-up uses it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import os
import pwd
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from fraudlab.errors import UserError
from fraudlab.stack import shell

MISREAD = ":;,[*?\\"
"""What cannot be escaped in lists of paths (PATH, class paths, LD_LIBRARY_PATH, Kafka's `log.dirs`, Flink's `io.tmp.dirs`), in the
patterns with which PyFlink looks for its jars, and, the backslash, in Flink's paths, which take it for a slash."""

ELSEWHERE = "Choose a folder on another disk: `export FRAUDLAB_HOME=<folder>`, then run the command again."


def require_usable(home: Path, repository: Path) -> None:
    """Raise UserError where a stack in this home, run from this clone, could not work. Leaves nothing behind.

    A home that is not there yet is tried in the folder in which it will be made.
    """
    for path, advice in (
        (home, "Choose another folder: `export FRAUDLAB_HOME=<folder>`, then run the command again."),
        (repository, "Rename the folder, then run the command again."),
    ):
        _require_name(path, advice)
    _require_own(home, repository)
    parent = next(one for one in (home, *home.parents) if one.exists())
    try:
        folder = Path(tempfile.mkdtemp(prefix=".fraudlab-", dir=parent))
    except OSError as error:
        raise not_writable(parent, error) from error
    try:
        for what, attempt in ABILITIES.items():
            try:
                attempt(folder)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise UserError(
                        f"The disk of {parent} is full.", "Free some, then run the command again."
                    ) from error
                raise UserError(
                    f"The file system of {parent} has no {what} ({error.strerror}), and the stack needs them.",
                    ELSEWHERE,
                ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def not_writable(folder: Path, error: OSError) -> UserError:
    """The refusal of a folder in which nothing can be written: another user's, or on a disk that is mounted read-only."""
    return UserError(f"{folder} cannot be written to ({error.strerror}).", ELSEWHERE)


def _require_name(path: Path, advice: str) -> None:
    try:
        name = os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"The path {os.fsencode(path)!r} is not valid UTF-8.", advice) from error
    wrong = next((letter for letter in name if letter in MISREAD or not letter.isprintable()), None)
    if wrong is not None:
        raise UserError(f"The path {name!r} contains {wrong!r}, which programs of the stack misread in a path.", advice)
    if not name.isascii() and not shell.is_utf8("") and not shell.utf8_locale():
        raise UserError(
            f"The path {name!r} is not plain ASCII, and this machine has no UTF-8 locale, without which Java cannot open it.",
            f"Install one (Debian and Ubuntu: `sudo apt-get install locales-all`). Otherwise: {advice}",
        )


def _require_own(home: Path, repository: Path) -> None:
    """Nobody else may be able to put files there beforehand, such as known passwords, or another folder in its place.

    The rule is that of OpenSSH's StrictModes, for the home and all folders above it. Root is trusted, and the owner of the code.
    """
    trusted = {os.getuid(), 0, repository.stat().st_uid} | _outside_of_namespace()
    absolute, resolved = home.absolute(), home.resolve()
    for folder in (absolute, *absolute.parents, resolved, *resolved.parents):
        try:
            status = folder.lstat()
        except FileNotFoundError:
            continue
        if status.st_uid not in trusted:
            raise UserError(
                f"{folder} belongs to another user, who could put files of theirs into the stack.",
                "Choose a folder of your own: `export FRAUDLAB_HOME=<folder>`, then run the command again.",
            )
        guarded = stat.S_ISLNK(status.st_mode) or (status.st_mode & stat.S_ISVTX and folder not in (absolute, resolved))
        if not guarded and _others_write(status):
            raise UserError(
                f"Other users can write to {folder}, so they could put files of theirs into the stack.",
                f"Run `chmod go-w '{folder}'`, or choose a folder of your own: `export FRAUDLAB_HOME=<folder>`."
                " Then run the command again.",
            )


def _others_write(status: os.stat_result) -> bool:
    """Many systems make folders writable for a group that the user has alone."""
    if status.st_mode & stat.S_IWOTH:
        return True
    if not status.st_mode & stat.S_IWGRP or status.st_gid == 0:
        return False
    user = pwd.getpwuid(os.getuid()).pw_name
    with contextlib.suppress(KeyError):  # a group without a name has no members but its users
        if set(grp.getgrgid(status.st_gid).gr_mem) - {user}:
            return True
    alone = not any(one.pw_gid == status.st_gid and one.pw_name != user for one in pwd.getpwall())
    return not (alone and status.st_gid in {os.getgid(), *os.getgroups()})


def _outside_of_namespace() -> set[int]:
    """In a user namespace, root outside of it appears as the overflow uid."""
    try:
        mapped = sum(int(line.split()[2]) for line in Path("/proc/self/uid_map").read_text().splitlines())
        return {int(Path("/proc/sys/kernel/overflowuid").read_text())} if mapped < 2**32 - 1 else set()
    except OSError:
        return set()


def _link(folder: Path) -> None:
    (folder / "link").symlink_to("target")


def _socket(folder: Path) -> None:
    path = folder / "socket"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        try:
            listener.bind(str(path))
        except OSError as error:
            if error.errno is not None:
                raise
            # "AF_UNIX path too long": the sockets of so long a home are in the temporary folder


def _lock(folder: Path) -> None:
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def _program(folder: Path) -> None:
    """A disk may be mounted with `noexec`."""
    program = folder / "program"
    program.touch(0o700)
    if not os.access(program, os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


ABILITIES: dict[str, Callable[[Path], None]] = {
    "symbolic links": _link,
    "UNIX sockets": _socket,
    "file locks": _lock,
    "executable files": _program,
}
"""What a file system must be able to do. The name of each ends the sentence that refuses it."""
