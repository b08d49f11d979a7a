"""mysql-01: a date that is none, in a row from before the database refused it, ends neither a snapshot nor a verdict."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from fraudlab import system
from fraudlab.verification.verify import verify
from tests.faults.test_binlog_hole import a_hole, command
from tests.support import flink
from tests.support.lab import Lab, assert_exact
from tests.support.waiting import eventually

ZERO = "0000-00-00"


@contextmanager
def without(lab: Lab, trigger: str) -> Iterator[None]:
    """A database that does not refuse yet what this trigger refuses."""
    lab.execute(f"DROP TRIGGER {trigger}")
    try:
        yield
    finally:
        system.create_database(lab.settings)


def force(lab: Lab, statement: str, *values: object) -> int:
    """Runs a statement as root in a session that takes any date."""
    with closing(lab.connect("root", autocommit=True)) as root, closing(root.cursor()) as cursor:
        cursor.execute("SET SESSION sql_mode = ''")
        cursor.execute(statement, values)
        return int(cursor.lastrowid)


@pytest.mark.parametrize("read_by", ["a snapshot", "the binlog"])
def test_mysql_01_a_payment_at_no_time_is_a_dead_letter_and_exact_before_and_after_its_deletion(
    lab: Lab, read_by: str
) -> None:
    """mysql-01, met by a fresh snapshot and by the binlog."""
    user, stays = lab.add_user(), lab.add_user()
    lab.fraud_is_caught()
    payment = "INSERT INTO transactions (user_id, amount, currency, country, transaction_time) VALUES (%s, 600, 'EUR', %s, %s)"
    with without(lab, "refuse_flagged"):
        if read_by == "a snapshot":
            with a_hole(lab):
                ids = [force(lab, payment, one, "DE", ZERO) for one in (user, stays)]
            command("up")
            done = command("resnapshot")
            assert done.returncode == 0, done.stdout
        else:
            ids = [force(lab, payment, one, "DE", ZERO) for one in (user, stays)]
    for each in ids:
        eventually(lambda each=each: lab.letter_of_payment(each), "a dead letter")  # type: ignore[misc]
    for one in (user, stays):
        lab.pay(one, "600.00", "FR")
        lab.settle(one)
        assert not lab.is_stopped(one)
    assert_exact(lab.settings)
    said = command("status")
    assert said.returncode == 0, said.stdout
    lab.execute("DELETE FROM transactions WHERE transaction_id = %s", ids[0])
    lab.settle(user)
    assert_exact(lab.settings)
    done = command("resnapshot")
    assert done.returncode == 0, done.stdout
    lab.fraud_is_caught()
    assert_exact(lab.settings)
    lab.execute("DELETE FROM transactions WHERE transaction_id = %s", ids[1])
    lab.settle(stays)
    assert_exact(lab.settings)
    assert all(job.state == "RUNNING" for job in flink.jobs_of(lab.settings))


@pytest.mark.parametrize("read_by", ["a snapshot", "the binlog"])
def test_mysql_01_rows_that_were_made_at_no_time_are_findings_and_exact_after_their_deletion(
    lab: Lab, read_by: str
) -> None:
    """mysql-01 with the other dates of a row."""
    user = lab.add_user()
    lab.fraud_is_caught()
    statements = (
        (
            "INSERT INTO transactions (user_id, amount, currency, country, created_at) VALUES (%s, 1, 'EUR', 'DE', %s)",
            user,
        ),
        ("INSERT INTO user_profile (user_id, created_at, updated_at) VALUES (%s, %s, '2026-01-01')", lab.new_user_id()),
    )
    with without(lab, "refuse_flagged"), without(lab, "keep_stop"):
        if read_by == "a snapshot":
            with a_hole(lab):
                made = [force(lab, statement, one, ZERO) for statement, one in statements]
            command("up")
            done = command("resnapshot")
            assert done.returncode == 0, done.stdout
        else:
            made = [force(lab, statement, one, ZERO) for statement, one in statements]
    lab.fraud_is_caught()
    verification = verify(lab.settings, 5)
    assert {one.id for one in verification.findings.impossible_rows} == {str(made[0]), f"user-{statements[1][1]}"}
    said = command("status")
    assert "columns" not in said.stdout, said.stdout
    lab.execute("DELETE FROM transactions WHERE transaction_id = %s", made[0])
    lab.execute("DELETE FROM user_profile WHERE user_id = %s", statements[1][1])
    lab.fraud_is_caught()
    assert_exact(lab.settings)
