"""The generator against a real MySQL: every payment once, with its label, whatever happens to the connection."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from data_generator import (
    Bank,
    Connection,
    DatedPayment,
    MySqlSink,
    Payment,
    RunConfig,
    StreamOptions,
    commit_fraud,
    run,
)
from data_generator import sink as sink_module
from data_generator.sink import GeneratorError

from tests.support.waiting import eventually, patient

DEADLINE_S = 30.0
SEEDING = StreamOptions(event_rate=Fraction(10))
BANK = Bank(seed=5, users=40)


def connection_to(database: Any, **changes: Any) -> Connection:
    return Connection.from_environment(database.environment("generator"), **changes)


def query(database: Any, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(database.connect("operator")) as session, closing(session.cursor()) as cursor:
        session.autocommit = True
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def stop_account(database: Any, user_id: int, stopped: bool = True) -> None:
    with closing(database.connect("flagger")) as session, closing(session.cursor()) as cursor:
        cursor.execute("UPDATE user_profile SET suspicious_activities = %s WHERE user_id = %s", (int(stopped), user_id))
        session.commit()


def payments_of(count: int, thief: bool | None = None) -> list[DatedPayment]:
    """Payments of the bank an hour ago; `thief` chooses those of a thief or the others."""
    start_ms = int(time.time() * 1000) - 3_600_000
    chosen = (payment for payment in BANK.payments(SEEDING) if thief in (None, payment.by_thief))
    return [DatedPayment(payment, start_ms + payment.event_ms) for payment in islice(chosen, count)]


def stored(database: Any) -> Counter[tuple[Any, ...]]:
    rows = query(database, "SELECT user_id, amount, currency, type, country, merchant FROM transactions")
    return Counter(rows)


def expected(payments: list[Payment]) -> Counter[tuple[Any, ...]]:
    return Counter((p.user_id, p.amount, p.currency, p.type, p.country, p.merchant) for p in payments)


def test_a_history_is_stored_as_the_stream_says(database: Any) -> None:
    config = RunConfig(seed=5, users=500, transactions=5000, rate=Fraction(0), stream=SEEDING)
    report = run(config, connection_to(database))
    payments = list(islice(Bank(seed=5, users=500).payments(SEEDING), 5000))
    assert (report.tried, report.inserted, report.unknown) == (5000, 5000, 0)
    assert stored(database) == expected(payments)
    labels = query(
        database,
        "SELECT t.user_id, t.amount, l.scenario FROM fraud_labels l JOIN transactions t USING (transaction_id)",
    )
    assert Counter(labels) == Counter((p.user_id, p.amount, p.scenario) for p in payments if p.by_thief)
    # Arrival order is the order of ids, and event times keep their distances.
    times = query(database, "SELECT UNIX_TIMESTAMP(transaction_time) * 1000 FROM transactions ORDER BY transaction_id")
    offsets = [int(time_ms) - int(times[0][0]) for (time_ms,) in times]
    assert offsets == [payment.event_ms - payments[0].event_ms for payment in payments]


def test_users_are_stored_in_their_own_scripts_and_only_once(database: Any) -> None:
    with MySqlSink(connection_to(database)) as sink:
        sink.insert_users(BANK.users)
        sink.insert_users(BANK.users)
    rows = query(
        database,
        "SELECT user_id, first_name, last_name, email, phone_number, home_country FROM user_profile ORDER BY user_id",
    )
    assert rows == [
        (user.user_id, user.first_name, user.last_name, user.email, user.phone_number, user.home_country)
        for user in BANK.users
    ]


def test_no_event_time_lies_after_the_moment_the_database_took_the_payment(database: Any) -> None:
    stream = StreamOptions(event_rate=Fraction(500), late=0.1)
    report = run(RunConfig(users=100, transactions=1000, rate=Fraction(500), stream=stream), connection_to(database))
    assert report.inserted == 1000
    assert report.late > 0
    assert query(database, "SELECT COUNT(*) FROM transactions WHERE transaction_time > created_at") == [(0,)]


def test_a_refused_payment_is_recorded_and_takes_no_other_with_it(database: Any) -> None:
    batch = payments_of(300)
    stopped = batch[17].payment.user_id
    with MySqlSink(connection_to(database)) as sink:
        sink.insert_users(BANK.users)
        stop_account(database, stopped)
        outcomes = sink.write(batch)
    refused = [dated.payment for dated in batch if dated.payment.user_id == stopped]
    accepted = [dated.payment for dated in batch if dated.payment.user_id != stopped]
    assert [outcome.status == "declined" for outcome in outcomes] == [
        dated.payment.user_id == stopped for dated in batch
    ]
    assert stored(database) == expected(accepted)
    declined = query(database, "SELECT user_id, amount, currency, type, country, merchant FROM declined_transactions")
    assert Counter(declined) == expected(refused)
    ((reason,),) = query(database, "SELECT DISTINCT reason FROM declined_transactions")
    assert "account is stopped" in reason


def test_a_user_whose_account_is_stopped_gets_no_new_scenario(database: Any) -> None:
    config = RunConfig(
        seed=5,
        users=20,
        transactions=4000,
        rate=Fraction(0),
        # Most users rest in or after a scenario for an hour: this history is many hours long.
        stream=StreamOptions(event_rate=Fraction(1, 10), mix={"cloned_card": 1.0}, fraud_every_s=Fraction(2000)),
    )
    with MySqlSink(connection_to(database)) as sink:
        sink.insert_users(Bank(seed=5, users=20).users)
    for user_id in range(1, 19):
        stop_account(database, user_id)
    report = run(config, connection_to(database))
    thefts = report.by_scenario["cloned_card"]
    assert report.tried == 4000
    assert report.skipped > 0
    assert thefts["skipped"] > thefts["declined"]
    assert report.declined == query(database, "SELECT COUNT(*) FROM declined_transactions")[0][0]
    assert report.inserted == query(database, "SELECT COUNT(*) FROM transactions")[0][0]


class Proxy:
    """A TCP proxy before MySQL that can lose one of the server's answers, or one again and again, and break the connection."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._answers_left = self._period = 0
        self._meanwhile: Callable[[], None] | None = None
        self._half_open = False
        self._left_open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self.losses = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_answer(self, number: int, *, meanwhile: Callable[[], None] | None = None, half_open: bool = False) -> None:
        """The server gets its next requests, but the answer to the `number`th never reaches the client.

        Args:
            number: Counted from now.
            meanwhile: Is called when the answer is lost, before the client learns of it.
            half_open: The server never learns that its client is gone.
        """
        self._answers_left, self._meanwhile, self._half_open = number, meanwhile, half_open

    def lose_every(self, number: int) -> None:
        """As `lose_answer`, and then every `number`th once more."""
        self._answers_left = self._period = number

    def close(self) -> None:
        for end in (self._listener, *self._ends):
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._ends += (client, server)
            threading.Thread(target=self._copy, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._copy, args=(server, client, True), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        ends: tuple[socket.socket, ...] = (source, target)
        try:
            while data := source.recv(65536):
                if answers and self._answers_left:
                    self._answers_left -= 1
                    if self._answers_left == 0:
                        self.losses += 1
                        self._answers_left = self._period
                        if self._meanwhile:
                            self._meanwhile()
                        if self._half_open:
                            ends = (target,)
                            self._left_open.add(source)
                        break
                target.sendall(data)
        except OSError:
            return  # the other direction has closed both
        finally:
            for end in ends:
                if end in self._left_open:
                    continue
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # already closed


@pytest.fixture
def proxy(database: Any) -> Iterator[Proxy]:
    environment = database.environment("generator")
    proxy = Proxy(environment["DATA_GENERATOR_HOST"], int(environment["DATA_GENERATOR_PORT"]))
    yield proxy
    proxy.close()


@pytest.mark.parametrize("lost", [1, 2])
def test_a_single_payment_is_stored_once_though_the_answer_is_lost(database: Any, proxy: Proxy, lost: int) -> None:
    batch = payments_of(2, thief=False)
    with MySqlSink(connection_to(database, host="127.0.0.1", port=proxy.port)) as sink:
        sink.insert_users(BANK.users)
        proxy.lose_answer(lost)
        assert [sink.write([dated])[0].status for dated in batch] == ["inserted", "inserted"]
    assert proxy.losses == 1
    assert stored(database) == expected([dated.payment for dated in batch])


# START TRANSACTION, payment, label, COMMIT: the answer to each is lost once.
@pytest.mark.parametrize("lost", [1, 2, 3, 4])
def test_a_payment_and_its_label_are_stored_once_though_an_answer_is_lost(
    database: Any, proxy: Proxy, lost: int
) -> None:
    (dated,) = payments_of(1, thief=True)
    with MySqlSink(connection_to(database, host="127.0.0.1", port=proxy.port)) as sink:
        sink.insert_users(BANK.users)
        proxy.lose_answer(lost)
        assert [outcome.status for outcome in sink.write([dated])] == ["inserted"]
    assert proxy.losses == 1
    assert stored(database) == expected([dated.payment])
    assert len(query(database, "SELECT * FROM fraud_labels JOIN transactions USING (transaction_id)")) == 1


# The refused payment, the record of the refusal.
@pytest.mark.parametrize("lost", [1, 2])
def test_a_refusal_is_recorded_once_though_an_answer_is_lost(database: Any, proxy: Proxy, lost: int) -> None:
    (dated,) = payments_of(1, thief=False)
    with MySqlSink(connection_to(database, host="127.0.0.1", port=proxy.port)) as sink:
        sink.insert_users(BANK.users)
        stop_account(database, dated.payment.user_id)
        proxy.lose_answer(lost)
        assert [outcome.status for outcome in sink.write([dated])] == ["declined"]
    assert proxy.losses == 1
    assert len(query(database, "SELECT * FROM declined_transactions")) == 1
    assert stored(database) == Counter()


@pytest.mark.parametrize("lost", [1, 4])
def test_a_payment_made_before_its_account_was_stopped_is_not_taken_for_refused(
    database: Any, proxy: Proxy, lost: int
) -> None:
    """The answer is lost, and the account is stopped before the payment is sent again."""
    (dated,) = payments_of(1, thief=lost > 1)
    with MySqlSink(connection_to(database, host="127.0.0.1", port=proxy.port)) as sink:
        sink.insert_users(BANK.users)
        proxy.lose_answer(lost, meanwhile=lambda: stop_account(database, dated.payment.user_id))
        assert [outcome.status for outcome in sink.write([dated])] == ["inserted"]
        assert not sink.in_doubt
    assert stored(database) == expected([dated.payment])
    assert query(database, "SELECT COUNT(*) FROM declined_transactions") == [(0,)]


def test_a_payment_that_was_declined_stays_declined_though_its_account_was_reinstated(
    database: Any, proxy: Proxy
) -> None:
    (dated,) = payments_of(1, thief=False)
    with MySqlSink(connection_to(database, host="127.0.0.1", port=proxy.port)) as sink:
        sink.insert_users(BANK.users)
        stop_account(database, dated.payment.user_id)
        proxy.lose_answer(2, meanwhile=lambda: stop_account(database, dated.payment.user_id, False))
        assert [outcome.status for outcome in sink.write([dated])] == ["declined"]
        assert [outcome.status for outcome in sink.write(payments_of(1, thief=False))] == ["inserted"]
    assert query(database, "SELECT payment_key FROM declined_transactions") == [(dated.key,)]
    assert query(database, "SELECT COUNT(*) FROM transactions WHERE payment_key = %s", dated.key) == [(0,)]


def test_a_session_that_the_server_keeps_open_holds_up_nobody(database: Any, proxy: Proxy) -> None:
    """Its transaction holds the payment's key until the session is ended; MySQL by itself would wait for hours."""
    (dated,) = payments_of(1, thief=True)
    with MySqlSink(connection_to(database, host="127.0.0.1", port=proxy.port)) as sink:
        sink.insert_users(BANK.users)
        proxy.lose_answer(2, half_open=True)
        began_s = time.monotonic()
        assert [outcome.status for outcome in sink.write([dated])] == ["inserted"]
        assert time.monotonic() - began_s < patient(DEADLINE_S)
    assert stored(database) == expected([dated.payment])


def test_a_server_that_says_nothing_is_left_and_asked_again(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody holds the table for longer than the generator waits for an answer."""
    monkeypatch.setattr(sink_module, "ANSWER_S", 1)
    (dated,) = payments_of(1, thief=False)
    with MySqlSink(connection_to(database)) as sink, closing(database.connect("root")) as holder:
        sink.insert_users(BANK.users)
        before = sink.reconnects
        with closing(holder.cursor()) as cursor, ThreadPoolExecutor(1) as writer:
            cursor.execute("LOCK TABLES transactions WRITE")
            written = writer.submit(sink.write, [dated])
            try:
                eventually(lambda: sink.reconnects > before + 1, "it gives up waiting, twice")
            finally:
                cursor.execute("UNLOCK TABLES")
            assert [outcome.status for outcome in written.result(patient(DEADLINE_S))] == ["inserted"]
    assert stored(database) == expected([dated.payment])


def test_a_live_run_survives_lost_answers(database: Any, proxy: Proxy) -> None:
    stream = StreamOptions(event_rate=Fraction(500), late=0.05)
    config = RunConfig(seed=5, users=100, transactions=1500, rate=Fraction(500), stream=stream)
    proxy.lose_every(41)  # connecting takes a few answers: one that is lost then would prove less
    report = run(config, connection_to(database, host="127.0.0.1", port=proxy.port))
    assert report.reconnects >= 5
    assert (report.inserted, report.unknown) == (1500, 0)
    assert stored(database) == expected(list(islice(Bank(seed=5, users=100).payments(stream), 1500)))
    assert query(database, "SELECT COUNT(*) FROM fraud_labels") == [(report.labelled,)]


def test_a_mysql_that_never_answers_is_reported_after_the_deadline(database: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    connection = connection_to(database, host="127.0.0.1", port=port, deadline_s=0.5)
    with pytest.raises(GeneratorError, match="has not answered for"):
        run(RunConfig(users=10, transactions=1), connection)


def test_a_wrong_password_is_reported_at_once(database: Any, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("wrong", encoding="utf-8")
    with pytest.raises(GeneratorError, match="DATA_GENERATOR_PASSWORD"):
        run(RunConfig(users=10, transactions=1), connection_to(database, password_file=password))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_cleanly_with_its_report(database: Any, tmp_path: Path, number: int) -> None:
    report_file = tmp_path / "report.json"
    command = [sys.executable, "-m", "data_generator", "--users", "50", "--report", str(report_file)]
    environment = {**os.environ, **database.environment("generator")}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    try:
        eventually(
            lambda: process.poll() is not None or query(database, "SELECT COUNT(*) FROM transactions")[0][0] > 50,
            "50 payments",
        )
        process.send_signal(number)
        _, errors = process.communicate(timeout=patient(DEADLINE_S))
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, errors.decode()
    report = json.loads(report_file.read_text(encoding="utf-8"))
    assert report["interrupted"]
    assert query(database, "SELECT COUNT(*) FROM transactions") == [(report["inserted"],)]


def test_a_fraud_on_demand_is_told_payment_by_payment(database: Any) -> None:
    with MySqlSink(connection_to(database)) as sink:
        sink.insert_users(BANK.users)
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        if line.startswith("the thief") and line.endswith("inserted"):
            stop_account(database, 7)  # what the detector and the account flagger do

    outcomes = commit_fraud(connection_to(database), 7, "cloned_card", seed=1, tell=tell)
    assert [outcome.status for outcome in outcomes[:2]] == ["inserted", "inserted"]
    assert {outcome.status for outcome in outcomes[2:]} == {"declined"}
    assert "refused" in lines[-1]
    assert query(database, "SELECT scenario FROM fraud_labels") == [("cloned_card",)]
    assert query(database, "SELECT DISTINCT scenario FROM declined_transactions") == [("cloned_card",)]


def test_a_fraud_for_nobody_is_refused(database: Any) -> None:
    with pytest.raises(GeneratorError, match="there is no user 999"):
        commit_fraud(connection_to(database), 999)
