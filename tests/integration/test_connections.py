"""Who holds connections and locks of the shared servers keeps nobody else out, as far as that can be had on one port for all."""

import socket
import sys
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mysql.connector
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from cryptography.x509.oid import NameOID
from mysql.connector import errorcode

from fraudlab.pipeline.contracts import CDC_JOB
from fraudlab.pipeline.database import CONNECTIONS, ROLES
from fraudlab.pipeline.flink import TRUSTED_PASSWORD
from fraudlab.services.notifier.ledger import CHANNELS, Ledger, lock_name
from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack import flink_jobs
from tests.conftest import Database
from tests.support.home import run
from tests.support.lab import Lab, learner_lab
from tests.support.nobody import as_nobody, needs_root
from tests.support.waiting import eventually, patient

pytestmark = pytest.mark.slow

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


def test_the_binlog_is_read_over_tls(lab: Lab) -> None:
    """The account could log in without TLS, to whoever has MySQL's port."""
    readers = eventually(
        lambda: lab.query(
            "SELECT connection_type FROM performance_schema.threads"
            " WHERE processlist_user = %s AND processlist_command LIKE 'Binlog Dump%%'",
            lab.names.account("cdc"),
        ),
        "the job reads the binlog",
    )
    assert set(readers) == {("SSL/TLS",)}


TRUSTS_ANOTHER = """
import dataclasses, sys
from fraudlab import system
from fraudlab.pipeline import cdc
from fraudlab.settings import Settings

settings = Settings()
endpoint = dataclasses.replace(system.cdc_endpoint(settings), trusted=sys.argv[1])
cdc.submit(system.flink_cluster(settings), endpoint, system.kafka(settings), settings.names)
"""


def another_authority(path: Path) -> Path:
    """A file as `stack.mysql.authority_for_java` makes it, of an authority that MySQL does not know."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "another authority")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1)
    )
    certificate = pkcs12.PKCS12Certificate(made.sign(key, hashes.SHA256()), b"mysql")
    path.write_bytes(
        pkcs12.serialize_java_truststore([certificate], BestAvailableEncryption(TRUSTED_PASSWORD.encode()))
    )
    return path


def test_a_server_that_does_not_prove_itself_is_not_read(settings: Settings, tmp_path: Path) -> None:
    """As when another program has MySQL's port: the job fails, and says why."""
    trusted = another_authority(tmp_path / "another.p12")
    with learner_lab(settings, "trust1") as lab:
        run([sys.executable, "-c", TRUSTS_ANOTHER, str(trusted)], print, lab.settings.environment())
        name = lab.names.job(CDC_JOB)

        def words() -> str:
            (job,) = flink_jobs.newest(lab.settings, [name]).values()
            return "".join(str(failure.cause) for failure in flink_jobs.failures(lab.settings, job))

        assert "not the MySQL that the job trusts (CertPath" in eventually(words, "the job fails")
        assert not lab.query(
            "SELECT 1 FROM performance_schema.threads WHERE processlist_user = %s AND processlist_command LIKE 'Binlog Dump%%'",
            lab.names.account("cdc"),
        )
