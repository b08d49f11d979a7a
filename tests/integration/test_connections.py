"""Who holds connections and locks of the shared servers keeps nobody else out, as far as that can be had on one port for all."""

import socket
from contextlib import ExitStack, closing
from typing import Any

import mysql.connector
import pytest
from mysql.connector import errorcode

from fraudlab.pipeline.database import CONNECTIONS, ROLES
from fraudlab.services.notifier.ledger import CHANNELS, Ledger, lock_name
from fraudlab.settings import LOOPBACK, Settings
from tests.conftest import Database
from tests.support.lab import Lab
from tests.support.nobody import as_nobody, needs_root
from tests.support.waiting import eventually, patient

STRANGERS = 300
"""More connections than the servers' usual limits: 100 of our MySQL earlier, 60 for each address of ZooKeeper."""


def test_an_account_holds_its_own_connections_and_keeps_nobody_out(database: Database) -> None:
    with ExitStack() as held:
        for _ in range(CONNECTIONS):
            held.enter_context(closing(database.connect("generator")))
        with pytest.raises(mysql.connector.Error) as refused:
            database.connect("generator").close()
        assert refused.value.errno == errorcode.ER_USER_LIMIT_REACHED
        for role in ({*ROLES} - {"generator"}) | {"root"}:
            database.connect(role).close()


def test_all_accounts_of_a_learner_leave_connections_to_others(database: Database) -> None:
    with closing(database.connect("root")) as root, closing(root.cursor()) as cursor:
        cursor.execute("SELECT @@max_connections, @@performance_schema_max_thread_instances")
        ((most, seen),) = cursor.fetchall()
        assert len(ROLES) * CONNECTIONS + 100 <= most
        assert most + 50 <= seen, "the triggers see an XA transaction of each of them"
        cursor.execute("SHOW STATUS LIKE 'Performance_schema_thread_instances_lost'")
        assert cursor.fetchall() == [("Performance_schema_thread_instances_lost", "0")]


def held_by_strangers(port: int) -> list[socket.socket]:
    return [socket.create_connection((LOOPBACK, port), timeout=10) for _ in range(STRANGERS)]


@needs_root
def test_connections_of_another_user_without_a_login_leave_mysql_open(database: Database) -> None:
    port = database.settings.mysql_port

    def hold() -> int:
        strangers = held_by_strangers(port)
        errors = 0
        for stranger in strangers:
            greeting = stranger.recv(64)
            errors += greeting[4:5] == b"\xff"  # "Too many connections"
        return errors

    assert as_nobody(hold) == 0
    strangers = held_by_strangers(port)
    try:
        database.connect("generator").close()
        database.connect("root").close()
        for stranger in strangers:
            stranger.settimeout(patient(15))
            while stranger.recv(4096):
                """What the server says until it ends the connection."""
    finally:
        for stranger in strangers:
            stranger.close()


@needs_root
def test_connections_of_another_user_leave_zookeeper_open(settings: Settings) -> None:
    def hold() -> str:
        strangers = held_by_strangers(settings.zookeeper_port)
        with socket.create_connection((LOOPBACK, settings.zookeeper_port), timeout=10) as one_more:
            one_more.sendall(b"ruok")
            said = one_more.recv(4).decode()
        assert strangers
        return said

    assert as_nobody(hold) == "imok"


def test_no_other_account_can_hold_the_lock_of_a_notifier(database: Database) -> None:
    names: list[Any] = [f"{database.settings.names.group('notifier')}.{channel}" for channel in CHANNELS]
    ours, theirs = Ledger(database.settings), Ledger(database.settings)
    with (
        closing(database.connect("generator")) as stranger,
        closing(stranger.cursor()) as cursor,
        closing(ours),
        closing(theirs),
    ):
        for name in names:
            cursor.execute("SELECT GET_LOCK(%s, 0)", (name,))
            assert cursor.fetchall() == [(1,)]
        assert ours.due("email", 1, (), ()) == [], "it has the turn"
        assert theirs.due("email", 1, (), ()) is None, "one notifier at a time"
    secret = {lock_name(database.settings, channel) for channel in CHANNELS}
    other = {lock_name(database.settings.model_copy(update={"learner": "other"}), channel) for channel in CHANNELS}
    assert len(secret | other) == 2 * len(CHANNELS)


def test_the_binlog_is_read_over_tls_from_a_server_that_proves_itself(lab: Lab) -> None:
    """The account could log in without TLS, to whoever has MySQL's port. A job that trusts another authority reads nothing."""
    readers = eventually(
        lambda: lab.query(
            "SELECT connection_type FROM performance_schema.threads"
            " WHERE processlist_user = %s AND processlist_command LIKE 'Binlog Dump%%'",
            lab.names.account("cdc"),
        ),
        "the job reads the binlog",
    )
    assert set(readers) == {("SSL/TLS",)}
