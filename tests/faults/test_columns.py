"""mysql-10: columns that others add do no harm; columns that move are noticed, and one command makes everything exact again."""

import re
from collections.abc import Iterator

import pytest

from tests.faults.test_binlog_hole import command
from tests.support import flink
from tests.support.lab import Lab, assert_exact
from tests.support.waiting import eventually

ADDED = (
    "note VARCHAR(20)",
    "extras JSON",
    "place POINT",
    "checked BIT(1) DEFAULT b'1'",
    "channel ENUM('web', 'shop') DEFAULT 'shop'",
    "counter BIGINT UNSIGNED DEFAULT 18446744073709551615",
)
MOVING = {
    "the first": "VARCHAR(10) UNICODE FIRST",
    "between the times": "VARCHAR(10) UNICODE AFTER merchant",
}
"""DDL that MySQL accepts and the connector's parser does not."""
CHANGED = {"is dropped": "DROP COLUMN merchant", "gets another type": "MODIFY amount DECIMAL(14,4)"}


@pytest.fixture
def tidy(lab: Lab) -> Iterator[Lab]:
    """The system; the columns that a test adds are gone afterwards, for the jobs, too."""
    yield lab
    known = {row[0] for row in lab.query("SHOW COLUMNS FROM transactions")}
    added = sorted(known & {"moved", *(one.split()[0] for one in ADDED)})
    if added:
        lab.execute(f"ALTER TABLE transactions {', '.join(f'DROP COLUMN {name}' for name in added)}")
        assert command("resnapshot").returncode == 0


def test_mysql_10_columns_that_others_add_are_passed_over(tidy: Lab) -> None:
    lab = tidy
    user = lab.add_user()
    lab.fraud_is_caught()
    flink.await_checkpoint(lab.settings)
    failures = sum(job.failures for job in flink.jobs_of(lab.settings))
    paid = []
    for number, column in enumerate(ADDED):
        lab.execute(f"ALTER TABLE transactions ADD COLUMN {column}")
        paid.append(lab.pay(user, "1.00", "DE"))
        if number == 2:
            eventually(lambda: captured(lab, user) == set(paid), "captured before the TaskManager is killed")
            assert sum(job.failures for job in flink.jobs_of(lab.settings)) == failures
            lab.stack.kill("taskmanager")
            lab.stack.wait_healthy()
            lab.await_jobs()
    eventually(lambda: captured(lab, user) == set(paid), "all payments are captured")
    lab.fraud_is_caught()
    assert_exact(lab.settings)


@pytest.mark.parametrize("where", MOVING)
def test_mysql_10_columns_that_move_are_noticed_and_one_command_reads_them_again(tidy: Lab, where: str) -> None:
    lab = tidy
    user = lab.add_user()
    lab.fraud_is_caught()
    lab.execute(f"ALTER TABLE transactions ADD COLUMN moved {MOVING[where]}")
    lab.commit_fraud(user)
    said = eventually(lambda: told(), "status says it")
    print(f"\n{said}")
    assert "`fraudlab resnapshot`" in said
    done = command("resnapshot")
    assert done.returncode == 0, done.stdout
    lab.await_stopped(user)
    lab.fraud_is_caught()
    assert command("status").returncode == 0
    assert_exact(lab.settings)


@pytest.mark.parametrize("what", CHANGED)
def test_mysql_10_a_column_that_others_change_is_named_and_the_statement_that_is_advised_makes_all_exact(
    lab: Lab, what: str
) -> None:
    lab.fraud_is_caught()
    lab.execute(f"ALTER TABLE transactions {CHANGED[what]}")
    advised: set[str] = set()
    for name in ("status", "up", "resnapshot"):
        said = command(name)
        assert said.returncode == 1, said.stdout
        advised |= set(re.findall(r"`(ALTER TABLE payment\.transactions [^`]*)`", said.stdout))
    (statement,) = advised
    lab.execute(statement)
    done = command("resnapshot")
    assert done.returncode == 0, done.stdout
    lab.fraud_is_caught()
    assert command("status").returncode == 0
    assert_exact(lab.settings)


def captured(lab: Lab, user: int) -> set[int]:
    """The payments of a user in `transactions`."""
    records = [one.json for one in lab.records(lab.names.transactions, user) if one.value is not None]
    return {one["after"]["transaction_id"] for one in records}


def told() -> str | None:
    """What `fraudlab status` prints, once it reports the columns."""
    done = command("status")
    return done.stdout if done.returncode == 1 and "columns" in done.stdout else None
