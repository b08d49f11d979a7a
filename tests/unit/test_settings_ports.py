"""The ports: one base moves all of them, one that is set wins, and systems side by side share none."""

import socket
from pathlib import Path

import pytest

from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack.second_stack import BASES, free_base, ports_of

PORTS = [name for name in Settings.model_fields if name.endswith("_port")]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PORTS, "port_base"):
        monkeypatch.delenv(f"FRAUDLAB_{name.upper()}", raising=False)


def test_a_base_moves_all_ports_by_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = Settings()
    assert (usual.mysql_port, usual.kafka_port, usual.flink_page_port) == (13306, 19092, 18081)
    monkeypatch.setenv("FRAUDLAB_PORT_BASE", "20000")
    moved = Settings()
    assert len(PORTS) == 15
    assert {getattr(moved, name) - getattr(usual, name) for name in PORTS} == {10_000}


def test_a_port_that_is_set_wins_over_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUDLAB_PORT_BASE", "20000")
    monkeypatch.setenv("FRAUDLAB_MYSQL_PORT", "4711")
    assert (Settings().mysql_port, Settings().kafka_port) == (4711, 29092)
    monkeypatch.setenv("FRAUDLAB_MYSQL_PORT", "")
    assert Settings().mysql_port == 23306, "set to nothing is not set: so a system beside another one drops its ports"


def test_every_port_of_every_base_is_a_port() -> None:
    for base in (0, 56_000):
        assert all(0 < getattr(Settings(port_base=base), name) < 65_536 for name in PORTS)


def test_no_two_systems_share_a_port() -> None:
    bases = [10_000, *BASES, 20_000]
    used = [port for base in bases for port in ports_of(base)]
    assert len(used) == len(set(used)) == 15 * len(bases)


def test_no_port_of_a_system_beside_is_one_that_outgoing_connections_take() -> None:
    assert max(port for base in BASES for port in ports_of(base)) < 32_768


def test_a_base_is_free_and_not_taken(tmp_path: Path) -> None:
    first = free_base(tmp_path)
    assert free_base(tmp_path) == first, "it follows from the home"
    second = free_base(tmp_path, {first})
    assert second != first
    with socket.create_server((LOOPBACK, ports_of(first)[3])):
        assert free_base(tmp_path) == second
