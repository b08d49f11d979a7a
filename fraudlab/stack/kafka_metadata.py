"""A copy of Kafka's metadata log, because Kafka can lose the log when its disk is full.

The log `__cluster_metadata-0` says which topics there are. At each start Kafka recovers it from its first byte. If the disk fills up
during that, the log can be truncated, even to nothing. Kafka then knows none of its topics, and sets the folders of all partitions aside
as `-stray`. So before each start the log is copied. If the log has lost something that the copy has, it is restored from the copy, and
the folders that were set aside get their names back.

Run as a script, `kafka_metadata.py <data folder> <folder of the copy>`, before each start. Standard library only, and none of our modules.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

LOG = "__cluster_metadata-0"
QUORUM_STATE = "quorum-state"
STRAY = re.compile(r"(?P<partition>.+-\d+)\.[0-9a-f]{32}-stray")
METADATA_INDEX_BYTES = 10 * 2**20
"""Kafka's default, which the metadata log always has. Its indexes are rewritten at each start, whatever they hold."""
MOST_INDEX_BYTES = 2**20
"""Of other partitions, `log.index.size.max.bytes`."""
_BATCH_HEAD = struct.Struct(">qiibI")
"""Base offset, length of what follows these two, leader epoch, magic, CRC-32C of what follows it."""
_LENGTH_AT, _CRC_FROM, _SMALLEST = 12, 21, 61


def batches(log: bytes, start: int = 0) -> Iterator[tuple[int, int]]:
    """Where each complete batch of a log segment begins and ends, in bytes, up to the first that is not one."""
    while start + _SMALLEST <= len(log):
        _, length, _, magic, _ = _BATCH_HEAD.unpack_from(log, start)
        end = start + _LENGTH_AT + length
        if magic != 2 or length < _SMALLEST - _LENGTH_AT or end > len(log):
            return
        yield start, end
        start = end


def lost_at(kept: bytes, present: bytes) -> int | None:
    """From which byte on a segment has lost batches that its copy has; None if it has all of them.

    A batch that was partly written, or whose checksum is wrong, does not count: Kafka truncates the log there.
    """
    for start, end in batches(kept):
        if kept[start:end] != present[start:end]:
            crc = _BATCH_HEAD.unpack_from(kept, start)[4]
            return start if crc == crc32c(kept[start + _CRC_FROM : end]) else None
    return None


def loss(data: Path, copy: Path) -> str | None:
    """What the metadata log has lost since it was copied, in words; None if nothing is lost, or if the copy is of another cluster."""
    log, kept = data / LOG, copy / LOG
    if not kept.is_dir() or _cluster(data / "meta.properties") != _cluster(copy / "meta.properties"):
        return None
    snapshots = [_offset(one) for one in log.glob("*.checkpoint") if one.stat().st_size]
    for segment in sorted(kept.glob("*.log")):
        present = log / segment.name
        if not present.exists():
            if not any(snapshot > _offset(segment) for snapshot in snapshots):
                return f"{LOG}/{segment.name} is gone"
            continue  # Kafka deletes what a snapshot replaces
        at = lost_at(segment.read_bytes(), present.read_bytes())
        if at is not None:
            return f"{LOG}/{segment.name} lost what followed its first {at:,} bytes"
    return None


def keep(data: Path, copy: Path) -> None:
    """Copy the metadata log, durably. The old copy stays until the new one is complete. Kafka must not run."""
    if not (data / LOG).is_dir():
        return
    fresh, old = copy.with_name(f"{copy.name}.new"), copy.with_name(f"{copy.name}.old")
    for left_over in (fresh, old):
        shutil.rmtree(left_over, ignore_errors=True)
    copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    (fresh / LOG).mkdir(parents=True, mode=0o700)
    for file in [data / "meta.properties", *_worth_keeping(data / LOG)]:
        target = fresh / file.relative_to(data)
        shutil.copyfile(file, target)
        _sync(target)
    _sync(fresh / LOG)
    _sync(fresh)
    if copy.exists():
        copy.rename(old)
    fresh.rename(copy)
    _sync(copy.parent)
    shutil.rmtree(old, ignore_errors=True)


def preallocate(data: Path) -> None:
    """Allocate the blocks of the sparse indexes that Kafka writes during recovery, so that a disk that fills up meanwhile does no harm.

    Kafka writes them as mapped memory: a page without a block can end the recovery at any point. Raises OSError if there is no space.
    """
    for folder in data.iterdir():
        if not folder.is_dir():
            continue
        for index in [*folder.glob("*.index"), *folder.glob("*.timeindex")]:
            about = index.stat()
            size = METADATA_INDEX_BYTES if folder.name == LOG else about.st_size
            if about.st_blocks * 512 < size and (folder.name == LOG or size <= MOST_INDEX_BYTES):
                with index.open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, size)


def settle(copy: Path) -> None:
    """Put the old copy back if a kill came between the two renames of `keep`."""
    old = copy.with_name(f"{copy.name}.old")
    if old.exists() and not copy.exists():
        old.rename(copy)


def restore(data: Path, copy: Path) -> list[str]:
    """Replace a damaged log, which is set aside, by the copy, and give stray partitions their names back.

    Returns the partitions' names. Kafka must not run.
    """
    aside = _free_name(copy.with_name("set-aside"))
    aside.mkdir(mode=0o700, parents=True)
    log = data / LOG
    if log.exists():
        shutil.copytree(log, aside / LOG)
        shutil.rmtree(log)
    shutil.copytree(copy / LOG, log)
    state = aside / LOG / QUORUM_STATE
    if state.exists() and state.stat().st_size:  # its epoch only ever grows
        shutil.copyfile(state, log / QUORUM_STATE)
    return _rename_back(data, aside)


def _rename_back(data: Path, aside: Path) -> list[str]:
    known = b"".join(file.read_bytes() for file in (data / LOG).iterdir() if file.suffix in (".log", ".checkpoint"))
    renamed = []
    for folder in sorted(data.iterdir()):
        name = STRAY.fullmatch(folder.name)
        topic = _topic_id(folder) if name else None
        if name is None or topic is None or topic not in known:
            continue
        place = data / name["partition"]
        if place.exists():  # created empty when the old one was unknown
            if _topic_id(place) == topic:
                continue
            place.rename(aside / place.name)
        folder.rename(place)
        renamed.append(place.name)
    return renamed


def stray(data: Path) -> list[str]:
    """The partitions whose folders Kafka has set aside, by name."""
    found = (STRAY.fullmatch(one.name) for one in data.iterdir()) if data.is_dir() else ()
    return sorted({one["partition"] for one in found if one})


def _topic_id(partition: Path) -> bytes | None:
    """The 16 bytes with which the metadata log names a partition's topic."""
    try:
        text = (partition / "partition.metadata").read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
    found = re.search(r"topic_id: ([A-Za-z0-9_-]{22})", text)
    return base64.urlsafe_b64decode(found[1] + "==") if found else None


def _worth_keeping(log: Path) -> list[Path]:
    """All but the indexes, which Kafka makes from the log."""
    return [one for one in log.iterdir() if one.is_file() and one.suffix not in (".index", ".timeindex", ".tmp")]


def _cluster(properties: Path) -> str | None:
    try:
        found = re.search(r"^cluster\.id=(.+)$", properties.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return None
    return found[1].strip() if found else None


def _offset(file: Path) -> int:
    """The offset in the name of a segment or a snapshot."""
    digits = re.match(r"\d+", file.name)
    return int(digits[0]) if digits else 0


def _free_name(path: Path) -> Path:
    number = 1
    while (candidate := path.with_name(f"{path.name}-{number}")).exists():
        number += 1
    return candidate


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), as Kafka computes it."""
    table, crc = _crc_table(), 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def main(data: Path, copy: Path) -> None:
    """Runs before each start of Kafka."""
    settle(copy)
    damage = loss(data, copy)
    if damage is not None:
        partitions = restore(data, copy)
        _say(
            f"Kafka's metadata log was damaged, as happens on a full disk: {damage}. It was restored from its copy; "
            f"{len(partitions)} partitions that had been set aside are back."
        )
    if data.is_dir():
        keep(data, copy)
        preallocate(data)


def _say(line: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} fraudlab: {line}", flush=True)


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a path may have any letter
    main(Path(sys.argv[1]), Path(sys.argv[2]))
