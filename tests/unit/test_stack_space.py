"""When nothing is started, when Kafka is stopped, and when a warning says that the disk is almost full."""

from pathlib import Path

import pytest

from fraudlab.stack import space
from fraudlab.stack.space import Space

GIB = 2**30


@pytest.mark.parametrize(
    ("found", "needed_mib", "lack"),
    [
        (Space(512 * 2**20, 5 * GIB, 10**6, 10**6), 512, None),
        (Space(512 * 2**20 - 1, 5 * GIB, 10**6, 10**6), 512, "511 MiB are free, 512 are needed"),
        (Space(0, 5 * GIB, 10**6, 10**6), 0, None),
        (Space(4 * GIB, 5 * GIB, 999, 10**6), 512, "999 inodes are free, 1,000 are needed"),
        (Space(4 * GIB, 5 * GIB, 0, 0), 512, None),  # btrfs does not count them
    ],
)
def test_disk_01_what_a_disk_lacks(found: Space, needed_mib: int, lack: str | None) -> None:
    assert found.lacks(needed_mib) == lack


@pytest.mark.parametrize(
    ("found", "warns"),
    [
        (Space(GIB, 10 * GIB, 10**6, 10**6), False),
        (Space(GIB - 1, 10 * GIB, 10**6, 10**6), True),
        (Space(9 * GIB, 10 * GIB, 99_999, 10**6), True),
        (Space(9 * GIB, 10 * GIB, 0, 0), False),
    ],
)
def test_below_a_tenth_of_bytes_or_inodes_it_warns(found: Space, warns: bool) -> None:
    assert (found.warning is not None) == warns


def test_the_scarcer_of_bytes_and_inodes_is_named() -> None:
    assert Space(GIB, 2 * GIB, 10**6, 10**6).words == "1,024 MiB of 2,048 MiB free (50 %)"
    assert Space(GIB, 2 * GIB, 5, 100).words.endswith("5 of 100 inodes free")


def test_disk_01_a_launcher_waits_until_there_is_room_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([Space(10 * 2**20, GIB, 0, 0), Space(511 * 2**20, GIB, 0, 0), Space(512 * 2**20, GIB, 0, 0)])
    monkeypatch.setattr(space, "measure", lambda _: next(free))
    monkeypatch.setattr(space, "POLL_S", 0)
    said: list[str] = []
    space.wait_for_room(Path("/home"), 256, said.append)
    assert said == [
        "waits for free space on the disk of /home: 10 MiB are free, 512 are needed",
        "there is free space on the disk of /home again",
    ]


def test_a_home_that_is_not_there_yet_is_measured_where_it_will_be(tmp_path: Path) -> None:
    assert space.measure(tmp_path / "a" / "b").total_bytes == space.measure(tmp_path).total_bytes > 0
