"""Case disk-01: Kafka's metadata log is restored if it has lost something, and only then."""

import struct
from pathlib import Path

import pytest

from fraudlab.stack import kafka_metadata as guard

SEGMENT = "00000000000000000000.log"
TOPIC_ID = bytes(range(16))
TOPIC_TEXT = "AAECAwQFBgcICQoLDA0ODw"


def batch(offset: int, records: bytes = b"record") -> bytes:
    """A record batch as Kafka writes it: its checksum is right, its records are any bytes."""
    body = struct.pack(">hiqqqhii", 0, 0, 0, 0, -1, -1, -1, 1) + records
    head = struct.pack(">ibI", 1, 2, guard.crc32c(body))
    return struct.pack(">qi", offset, len(head) + len(body)) + head + body


ONE, TWO, THREE = batch(0), batch(1, TOPIC_ID), batch(2)


def test_the_checksum_is_the_one_of_the_standard() -> None:
    assert guard.crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize(
    ("kept", "present", "at"),
    [
        (ONE + TWO, ONE + TWO, None),
        (ONE + TWO, ONE + TWO + THREE, None),
        (ONE + TWO, b"", 0),
        (ONE + TWO, ONE, len(ONE)),
        (ONE + TWO, ONE + TWO[:-1], len(ONE)),
        (ONE + TWO, ONE + THREE, len(ONE)),
        (ONE + TWO[:-1], ONE, None),  # written in part
        (ONE + TWO[:-1], ONE + THREE, None),
        (ONE + TWO[:-1] + b"?", ONE + THREE, None),  # its checksum is wrong, as after a power cut
        (ONE + b"\0" * 500, ONE, None),
        (b"", ONE, None),
    ],
)
def test_disk_01_what_a_segment_has_lost(kept: bytes, present: bytes, at: int | None) -> None:
    assert guard.lost_at(kept, present) == at


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Kafka's data folder, with a topic `a` of one partition, and the first copy made."""
    data = tmp_path / "data"
    (data / guard.LOG).mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\ncluster.id=one\n", encoding="utf-8")
    (data / guard.LOG / SEGMENT).write_bytes(ONE + TWO)
    (data / guard.LOG / "00000000000000000000.index").write_bytes(b"")
    (data / guard.LOG / guard.QUORUM_STATE).write_text('{"leaderEpoch":3}', encoding="utf-8")
    partition(data, "a-0")
    guard.main(data, copy(data))
    return data


def copy(data: Path) -> Path:
    return data.parent / "kept" / "metadata"


def partition(data: Path, name: str, topic: str = TOPIC_TEXT) -> Path:
    (data / name).mkdir()
    (data / name / "partition.metadata").write_text(f"version: 0\ntopic_id: {topic}", encoding="ascii")
    (data / name / SEGMENT).write_bytes(b"records")
    return data / name


def test_disk_01_a_log_that_lost_everything_is_restored_and_its_partitions_are_back(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = data / guard.LOG
    (log / SEGMENT).write_bytes(batch(0, b"another"))
    (log / guard.QUORUM_STATE).write_text('{"leaderEpoch":9}', encoding="utf-8")
    (data / "a-0").rename(data / f"a-0.{'5' * 32}-stray")
    empty = partition(data, "a-0", "BAECAwQFBgcICQoLDA0ODw")  # made again meanwhile
    (empty / SEGMENT).write_bytes(b"")
    partition(data, f"gone-0.{'6' * 32}-stray", "CAECAwQFBgcICQoLDA0ODw")  # a topic that was deleted
    assert guard.loss(data, copy(data)) == f"{guard.LOG}/{SEGMENT} lost what followed its first 0 bytes"

    guard.main(data, copy(data))
    assert "1 partitions that had been set aside are back" in capsys.readouterr().out
    assert (log / SEGMENT).read_bytes() == ONE + TWO
    assert (log / guard.QUORUM_STATE).read_text(encoding="utf-8") == '{"leaderEpoch":9}', "an epoch only ever grows"
    assert (data / "a-0" / SEGMENT).read_bytes() == b"records"
    assert guard.stray(data) == ["gone-0"]
    assert (copy(data).parent / "set-aside-1" / "a-0").is_dir()
    assert guard.loss(data, copy(data)) is None


def test_a_segment_that_a_snapshot_has_replaced_may_go(data: Path) -> None:
    log = data / guard.LOG
    (log / SEGMENT).rename(log / "00000000000000000009.log")
    assert guard.loss(data, copy(data)) == f"{guard.LOG}/{SEGMENT} is gone"
    (log / "00000000000000000009-0000000001.checkpoint").write_bytes(b"snapshot")
    assert guard.loss(data, copy(data)) is None


def test_the_copy_of_another_cluster_restores_nothing(data: Path) -> None:
    (data / "meta.properties").write_text("version=1\ncluster.id=other\n", encoding="utf-8")
    (data / guard.LOG / SEGMENT).write_bytes(b"")
    assert guard.loss(data, copy(data)) is None


def test_a_copy_that_a_kill_interrupted_is_put_back(data: Path) -> None:
    copy(data).rename(copy(data).with_name("metadata.old"))
    (data / guard.LOG / SEGMENT).write_bytes(b"")
    guard.main(data, copy(data))
    assert (data / guard.LOG / SEGMENT).read_bytes() == ONE + TWO


def test_disk_01_the_indexes_that_kafka_writes_when_it_recovers_have_their_blocks(data: Path) -> None:
    index = data / guard.LOG / "00000000000000000000.index"
    sparse = data / "a-0" / "00000000000000000000.timeindex"
    sparse.touch()
    with sparse.open("r+b") as file:
        file.truncate(2**20)
    guard.main(data, copy(data))
    assert index.stat().st_size == guard.METADATA_INDEX_BYTES
    for file_ in (index, sparse):
        assert file_.stat().st_blocks * 512 >= file_.stat().st_size


def test_a_folder_that_is_not_there_yet_is_nothing(tmp_path: Path) -> None:
    guard.main(tmp_path / "data", tmp_path / "kept" / "metadata")
    assert list(tmp_path.iterdir()) == []
