"""The database decides: it refuses wrong rows from every client, and the order of payments and stops is its own."""

from contextlib import closing
from typing import Any

import mysql.connector
import pytest

from fraudlab import system
from fraudlab.errors import UserError
from fraudlab.mysql_session import ANSWER_S
from fraudlab.services.mysql_retry import may_pass

PAY = "INSERT INTO transactions (user_id, amount, currency, country) VALUES ({}, 1, 'EUR', 'DE')"
OPEN = "INSERT INTO user_profile (user_id, first_name) VALUES ({}, 'Ada')"
STOP = "UPDATE user_profile SET suspicious_activities = TRUE WHERE user_id = {}"
REINSTATE = "UPDATE user_profile SET suspicious_activities = FALSE WHERE user_id = {}"
REFUSED = "45000"
LOCK_WAIT_TIMEOUT = 1205


class Client:
    """A session of one account."""

    def __init__(self, database: Any, role: str = "learner", *, autocommit: bool = True, **options: Any) -> None:
        self.connection = database.connect(role, autocommit=autocommit, **options)
        self.do("SET SESSION innodb_lock_wait_timeout = 1")

    def do(self, *statements: str) -> list[tuple[Any, ...]]:
        """Runs them; returns the rows of the last one."""
        rows: list[tuple[Any, ...]] = []
        for statement in statements:
            with closing(self.connection.cursor()) as cursor:
                cursor.execute(statement)
                rows = cursor.fetchall()
        return rows

    def value(self, query: str) -> Any:
        ((value,),) = self.do(query)
        return value

    def is_refused(self, statement: str, reason: str) -> None:
        with pytest.raises(mysql.connector.Error, match=reason) as refusal:
            self.do(statement)
        assert (
            refusal.value.sqlstate == REFUSED or refusal.value.errno == mysql.connector.errorcode.ER_TRUNCATE_ILLEGAL_FK
        )

    def close(self) -> None:
        self.connection.close()


@pytest.fixture
def clients(database: Any) -> Any:
    """Makes sessions, of accounts 1 to 3, and closes them."""
    made: list[Client] = []

    def client(role: str = "learner", **options: Any) -> Client:
        made.append(Client(database, role, **options))
        return made[-1]

    client().do(*(OPEN.format(user) for user in (1, 2, 3)))
    yield client
    for one in made:
        one.close()


TIMES = [
    "'31.12.2026'",
    "'0000-00-00'",
    "'2026-02-00'",
    "'2026-00-01'",
    "'2038-01-19 03:14:08'",
    "'1969-12-31'",
    "''",
    "0",
]


@pytest.mark.parametrize("time", TIMES)
def test_mysql_01_a_time_that_is_none_is_refused_in_every_mode(clients: Any, time: str) -> None:
    """mysql-01: outside strict mode, and with INSERT IGNORE, MySQL would store '0000-00-00'."""
    learner = clients()
    values = (
        f"INTO transactions (user_id, amount, currency, country, transaction_time) VALUES (1, 1, 'EUR', 'DE', {time})"
    )
    learner.is_refused(f"INSERT IGNORE {values}", "transaction_time must be a time")
    learner.do("SET SESSION sql_mode = ''")
    learner.is_refused(f"INSERT {values}", "transaction_time must be a time")
    assert learner.value("SELECT COUNT(*) FROM transactions") == 0


def test_mysql_01_what_mysql_would_cut_to_fit_is_refused(clients: Any) -> None:
    """mysql-01, other columns: outside strict mode MySQL stores the nearest value that fits."""
    learner = clients()
    for mode, insert in (("DEFAULT", "INSERT IGNORE"), ("''", "INSERT")):
        learner.do(f"SET SESSION sql_mode = {mode}")
        learner.is_refused(f"{insert} INTO transactions (user_id, amount) VALUES (1, 1e12)", "amount is too large")
        learner.is_refused(f"{insert} INTO transactions (user_id, amount) VALUES (1, -1e12)", "amount is too large")
        for user in ("9e9", "-9e9", "'Ada'", "0"):
            learner.is_refused(f"{insert} INTO transactions (user_id) VALUES ({user})", "user_id must be between")
            learner.is_refused(f"{insert} INTO user_profile (user_id) VALUES ({user})", "user_id must be between")
        learner.is_refused(f"{insert} INTO transactions (amount) VALUES (1)", "user_id must be between")


@pytest.mark.parametrize("xid", ["'a'", "''", "'a', 'b', 7"])
def test_mysql_03_an_xa_transaction_can_change_nothing_that_is_captured(clients: Any, xid: str) -> None:
    """mysql-03: the connector captures a prepared XA transaction and ignores its rollback."""
    learner = clients()
    learner.do(PAY.format(1), f"XA START {xid}")
    for statement in (
        PAY.format(1),
        OPEN.format(9),
        STOP.format(1),
        "DELETE FROM transactions",
        "DELETE FROM user_profile WHERE user_id = 3",
    ):
        learner.is_refused(statement, "XA transaction")
    learner.do(f"XA END {xid}", f"XA ROLLBACK {xid}", PAY.format(1), "START TRANSACTION", PAY.format(1), "COMMIT")
    assert learner.value("SELECT COUNT(*) FROM transactions") == 3


def test_mysql_04_a_user_id_is_never_changed(clients: Any) -> None:
    """mysql-04: the id ties payments, stops and messages to an account."""
    learner = clients()
    learner.is_refused("UPDATE user_profile SET user_id = 9003 WHERE user_id = 3", "user_id is never changed")
    learner.is_refused(f"{OPEN.format(3)} ON DUPLICATE KEY UPDATE user_id = 9003", "user_id is never changed")
    learner.is_refused("UPDATE IGNORE user_profile SET user_id = user_id + 100", "user_id is never changed")


WAYS_BACK = {
    "mysql-05 REPLACE": ["REPLACE INTO user_profile (user_id, first_name) VALUES (1, 'B')"],
    "REPLACE that says so": ["REPLACE INTO user_profile (user_id, suspicious_activities) VALUES (1, FALSE)"],
    "REPLACE SELECT": ["REPLACE INTO user_profile (user_id) SELECT user_id FROM user_profile"],
    "DELETE and INSERT": ["DELETE FROM user_profile WHERE user_id = 1", OPEN.format(1)],
    "in one transaction": ["START TRANSACTION", "DELETE FROM user_profile", OPEN.format(1), "COMMIT"],
    "INSERT IGNORE": ["DELETE FROM user_profile", f"INSERT IGNORE {OPEN.format(1)[7:]}"],
    "ON DUPLICATE KEY UPDATE": [f"{OPEN.format(1)} ON DUPLICATE KEY UPDATE first_name = 'B'"],
    "the values of an upsert": [
        "INSERT INTO user_profile (user_id, suspicious_activities) VALUES (1, FALSE)"
        " ON DUPLICATE KEY UPDATE suspicious_activities = VALUES(suspicious_activities)"
    ],
    "a profile that is gone": ["DELETE FROM user_profile WHERE user_id = 1"],
    "another column": ["UPDATE user_profile SET first_name = 'B' WHERE user_id = 1"],
}


@pytest.mark.parametrize("way", WAYS_BACK.values(), ids=WAYS_BACK)
def test_mysql_05_a_stop_survives_whatever_happens_to_the_profile(clients: Any, way: list[str]) -> None:
    """mysql-05: REPLACE and other ways to write the profile again."""
    learner = clients()
    learner.do(STOP.format(1), *way)
    learner.is_refused(PAY.format(1), "the account is stopped")
    assert learner.do("SELECT suspicious_activities FROM user_profile WHERE user_id = 1") in ([(1,)], [])
    assert learner.value("SELECT COUNT(*) FROM flag_changes") == 1
    learner.do(f"INSERT IGNORE {OPEN.format(1)[7:]}", REINSTATE.format(1), PAY.format(1))
    assert learner.do("SELECT suspicious_activities FROM flag_changes ORDER BY change_id") == [(1,), (0,)]


def test_mysql_06_no_account_is_opened_stopped(clients: Any) -> None:
    """mysql-06: such a stop would have no entry in flag_changes."""
    learner = clients()
    for insert in ("INSERT", "INSERT IGNORE", "REPLACE"):
        values = "INTO user_profile (user_id, suspicious_activities) VALUES (6, 1)"
        learner.is_refused(f"{insert} {values}", "none is opened stopped")
    assert learner.value("SELECT COUNT(*) FROM user_profile WHERE user_id = 6") == 0


@pytest.mark.parametrize("true", ["-1", "1", "2", "127", "'1'"])
def test_mysql_07_whatever_is_not_zero_is_true(clients: Any, true: str) -> None:
    """mysql-07: some clients write TRUE as -1."""
    learner = clients()
    learner.do(f"UPDATE user_profile SET suspicious_activities = {true} WHERE user_id = 1")
    assert learner.value("SELECT suspicious_activities FROM user_profile WHERE user_id = 1") == 1
    assert learner.do("SELECT user_id, suspicious_activities FROM flag_changes") == [(1, 1)]
    learner.do("UPDATE user_profile SET suspicious_activities = 3 WHERE user_id = 1")
    assert learner.value("SELECT COUNT(*) FROM flag_changes") == 1, "it was true already"


@pytest.mark.parametrize("role", ["learner", "root"])
def test_mysql_08_a_clock_that_a_client_sets_is_ignored(clients: Any, role: str) -> None:
    """mysql-08: SET SESSION timestamp moves NOW() and CURRENT_TIMESTAMP."""
    client = clients(role)
    client.do(
        "SET SESSION timestamp = 1900000000",
        PAY.format(1),
        OPEN.format(8),
        "UPDATE user_profile SET first_name = 'B' WHERE user_id = 1",
        STOP.format(2),
        "DELETE FROM user_profile WHERE user_id = 3",
        "DELETE FROM transactions",
        PAY.format(1),
        "SET SESSION timestamp = DEFAULT",
    )
    if role == "root":
        client.do(
            "INSERT INTO transactions (user_id, created_at) VALUES (1, '2030-01-01')",
            "INSERT INTO user_profile (user_id, created_at, updated_at) VALUES (9, '2030-01-01', '2030-01-01')",
            "UPDATE user_profile SET created_at = '2030-01-01', updated_at = '2030-01-01' WHERE user_id = 9",
            "INSERT INTO declined_transactions (user_id, reason, declined_at) VALUES (1, 'x', '2030-01-01')",
        )
    times = {
        "transactions": ["created_at"],
        "user_profile": ["created_at", "updated_at"],
        "flag_changes": ["changed_at"],
        "deleted_users": ["deleted_at"],
        "deleted_transactions": ["created_at", "deleted_at"],
        "declined_transactions": ["declined_at"],
    }
    for table, columns in times.items():
        for column in columns:
            there = f"SELECT COUNT(*) FROM {table} WHERE ABS(TIMESTAMPDIFF(SECOND, {column}, SYSDATE())) > 60"
            assert client.value(there) == 0, f"{table}.{column}"


def test_an_update_that_changes_nothing_leaves_the_row_alone_and_one_that_changes_case_does_not(clients: Any) -> None:
    learner = clients()
    before = learner.value("SELECT updated_at FROM user_profile WHERE user_id = 1")
    learner.do("UPDATE user_profile SET first_name = 'Ada' WHERE user_id = 1")
    assert learner.value("SELECT updated_at FROM user_profile WHERE user_id = 1") == before
    learner.do("DO SLEEP(0.002)", "UPDATE user_profile SET first_name = 'ADA' WHERE user_id = 1")
    assert learner.value("SELECT updated_at FROM user_profile WHERE user_id = 1") > before


def test_mysql_08_ids_come_from_the_database_alone(clients: Any) -> None:
    """mysql-08: explicit ids, SET INSERT_ID and NO_AUTO_VALUE_ON_ZERO."""
    root = clients("root")
    root.do(PAY.format(1))
    reason = "comes from the database alone"
    for explicit in ("1000000", "-1", "1"):
        root.is_refused(f"INSERT INTO transactions (transaction_id, user_id) VALUES ({explicit}, 1)", reason)
        root.is_refused(f"REPLACE INTO transactions (transaction_id, user_id) VALUES ({explicit}, 1)", reason)
    root.do("SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')")
    root.is_refused("INSERT INTO transactions (transaction_id, user_id) VALUES (0, 1)", "transaction_id would be 0")
    for client in (root, clients()):
        for statement in (PAY.format(1), OPEN.format(8), STOP.format(1), "DELETE FROM user_profile WHERE user_id = 1"):
            client.do("SET INSERT_ID = 1000000")
            client.is_refused(statement, "do not SET INSERT_ID")
            client.do("SET INSERT_ID = 0")
        client.is_refused(PAY.format(1), "transaction_id would be 0")
    root = clients("root")
    root.do(PAY.format(1), STOP.format(1))
    assert root.value("SELECT MAX(transaction_id) FROM transactions") < 100
    assert root.value("SELECT MAX(change_id) FROM flag_changes") < 100


UNCAPTURED = [
    ("sql_log_bin", "0"),
    ("binlog_format", "'STATEMENT'"),
    ("binlog_format", "'MIXED'"),
    ("binlog_row_image", "'MINIMAL'"),
    ("binlog_row_image", "'NOBLOB'"),
]


@pytest.mark.parametrize(("variable", "value"), UNCAPTURED)
def test_a_session_whose_changes_would_not_be_captured_can_change_nothing(
    clients: Any, variable: str, value: str
) -> None:
    root = clients("root")
    root.do(
        PAY.format(1), "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", f"SET SESSION {variable} = {value}"
    )
    for statement in (
        PAY.format(1),
        OPEN.format(9),
        "UPDATE user_profile SET first_name = 'B' WHERE user_id = 1",
        "DELETE FROM user_profile WHERE user_id = 1",
        "DELETE FROM transactions",
    ):
        root.is_refused(statement, "it would not be captured")


def test_mysql_09_episodes_are_in_the_order_of_the_database_whatever_the_clock_says(clients: Any) -> None:
    """mysql-09: the account is reinstated in a session whose clock is two hours slow."""
    learner, operator = clients(), clients("operator")
    learner.do(PAY.format(1), STOP.format(1))
    operator.do("SET SESSION timestamp = UNIX_TIMESTAMP() - 7200", REINSTATE.format(1))
    episode = learner.value("SELECT MAX(change_id) FROM flag_changes WHERE NOT suspicious_activities")
    learner.do(PAY.format(1), PAY.format(2))
    assert learner.do("SELECT transaction_id, episode FROM payment_episodes") == [(2, episode)]
    assert learner.do("SELECT stopped, episode FROM account_states WHERE user_id = 1") == [(0, episode)]
    learner.do("DELETE FROM transactions WHERE transaction_id = 2")
    assert learner.do("SELECT episode FROM payment_episodes") == [(episode,)], "a deleted payment keeps its episode"


@pytest.mark.parametrize("table", ["transactions", "user_profile"])
def test_mysql_12_truncate_is_refused_with_what_to_do_instead(clients: Any, table: str) -> None:
    """mysql-12: TRUNCATE runs no trigger, writes no row events and resets the ids."""
    root = clients("root")
    root.do(PAY.format(1))
    root.is_refused(f"TRUNCATE TABLE {table}", "use_delete_because_truncate_would_leave_no_history")
    root.do(f"DELETE FROM {table}")


def test_mysql_12_ids_never_come_twice(clients: Any) -> None:
    """mysql-12: DELETE, the way that is allowed, keeps counting."""
    root = clients("root")
    root.do(*[PAY.format(1)] * 3, "DELETE FROM transactions", PAY.format(1))
    assert root.value("SELECT MIN(transaction_id) FROM transactions") == 4


def test_a_payment_that_is_open_delays_no_other_account_and_no_edit_of_its_own(clients: Any) -> None:
    slow, other = clients(autocommit=False), clients()
    slow.do(PAY.format(1), PAY.format(50))
    for statement in (
        PAY.format(1),
        "UPDATE user_profile SET first_name = 'B' WHERE user_id = 1",
        *(OPEN.format(user) for user in (4, 49, 51, 1000)),
        *(PAY.format(user) for user in (5, 48, 52, 2000)),
        STOP.format(2),
        "DELETE FROM user_profile WHERE user_id = 1",
    ):
        other.do(statement)
    with pytest.raises(mysql.connector.Error) as waits:
        other.do(OPEN.format(1), STOP.format(1))
    assert waits.value.errno == LOCK_WAIT_TIMEOUT
    slow.connection.commit()
    other.do(STOP.format(1))


def test_a_stop_that_was_committed_is_seen_in_a_transaction_that_began_before(clients: Any) -> None:
    learner, other = clients(autocommit=False), clients()
    learner.do("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    learner.do("SELECT * FROM account_states", "SELECT * FROM user_profile")
    other.do(STOP.format(1))
    learner.is_refused(PAY.format(1), "the account is stopped")


def test_a_refusal_is_noted_with_the_last_change_of_the_flag(clients: Any) -> None:
    learner, generator = clients(), clients("generator")
    learner.do(STOP.format(1))
    generator.do(
        *(
            f"INSERT INTO declined_transactions (user_id, reason, change_id) VALUES ({user}, 'x', 7)"
            for user in (1, 2, 77)
        )
    )
    assert learner.do("SELECT user_id, change_id FROM declined_transactions ORDER BY user_id") == [
        (1, 1),
        (2, None),
        (77, None),
    ]


OLD_TABLES = [
    *(f"DROP TRIGGER {name}" for name in (
        "refuse_flagged", "note_episode", "refuse_uncaptured_deletion", "keep_stop", "profiles_keep_their_user", "record_flag_change",
        "refuse_uncaptured_closing", "note_last_change",
    )),
    *(f"DROP TABLE {name}" for name in ("truncate_guard", "account_states", "payment_episodes")),
    *(f"DROP PROCEDURE {name}" for name in ("require_plain_session", "add_account_state")),
    "ALTER TABLE declined_transactions DROP COLUMN change_id,"
    " MODIFY declined_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)",
    "ALTER TABLE transactions MODIFY created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)",
    "ALTER TABLE user_profile MODIFY created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),"
    " MODIFY updated_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)",
    "CREATE TRIGGER refuse_flagged BEFORE INSERT ON transactions FOR EACH ROW BEGIN END",
    "CREATE TRIGGER record_flag_change AFTER UPDATE ON user_profile FOR EACH ROW"
    " IF OLD.suspicious_activities <> NEW.suspicious_activities THEN"
    " INSERT INTO flag_changes (user_id, suspicious_activities) VALUES (NEW.user_id, NEW.suspicious_activities); END IF",
]  # fmt: skip
"""Turns today's tables into those of the first version."""


def test_tables_of_the_first_version_are_brought_up_to_date_with_their_rows(database: Any) -> None:
    with closing(Client(database, "root")) as root:
        root.do(*OLD_TABLES, *(OPEN.format(user) for user in (1, 2, 3, 4, 5)))
        root.do(PAY.format(1), STOP.format(1), "DO SLEEP(0.005)", REINSTATE.format(1), "DO SLEEP(0.005)")
        root.do(PAY.format(1), PAY.format(2), PAY.format(1), "DELETE FROM transactions WHERE transaction_id = 4")
        root.do("UPDATE user_profile SET suspicious_activities = -1 WHERE user_id = 2", STOP.format(4))
        root.do("DELETE FROM user_profile WHERE user_id = 4")
        root.do(
            "SET SESSION sql_mode = ''", "INSERT INTO transactions (user_id, transaction_time) VALUES (5, '31.12.2026')"
        )

        for _ in range(2):
            system.create_database(database.settings)
            assert root.do("SELECT user_id, stopped, episode, change_id FROM account_states ORDER BY user_id") == [
                (1, 0, 2, 2), (2, 1, 0, 3), (3, 0, 0, None), (4, 1, 0, 4), (5, 0, 0, None),
            ]  # fmt: skip
            assert root.do("SELECT * FROM payment_episodes ORDER BY transaction_id") == [(2, 2), (4, 2)]
            assert root.do("SELECT suspicious_activities FROM flag_changes ORDER BY change_id") == [
                (1,),
                (0,),
                (1,),
                (1,),
            ]
        for user in (2, 4):
            root.is_refused(PAY.format(user), "the account is stopped")
        root.do(
            "DELETE FROM transactions WHERE user_id = 5",
            "SET SESSION timestamp = 1900000000",
            PAY.format(1),
            OPEN.format(6),
        )
        assert root.value("SELECT COUNT(*) FROM transactions WHERE created_at > '2029-01-01'") == 0
        assert root.value("SELECT COUNT(*) FROM user_profile WHERE updated_at > '2029-01-01'") == 0


def test_a_server_whose_binlog_cannot_be_captured_is_refused_with_what_to_change(database: Any) -> None:
    with closing(Client(database, "root")) as root:
        root.do("SET GLOBAL binlog_row_image = MINIMAL")
        try:
            with pytest.raises(UserError, match="binlog_row_image is MINIMAL and must be FULL") as refusal:
                system.create_database(database.settings)
        finally:
            root.do("SET GLOBAL binlog_row_image = FULL")
    assert "my.cnf" in refusal.value.advice
    system.create_database(database.settings)


def test_a_table_that_another_session_uses_is_not_waited_for_for_ever(
    clients: Any, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "LOCK_PATIENCE_S", 1)
    learner = clients(autocommit=False)
    learner.do("SELECT * FROM user_profile")
    with pytest.raises(UserError, match="used the tables") as refusal:
        system.drop_database(database.settings)
    assert f"{learner.connection.connection_id} (of {database.settings.names.account('learner')}" in str(refusal.value)
    learner.connection.rollback()
    system.drop_database(database.settings)


def test_a_server_that_says_nothing_ends_a_statement_and_not_the_patience_of_its_client(database: Any) -> None:
    with database.connect("operator") as usual:
        assert usual.read_timeout == usual.write_timeout == ANSWER_S
    with closing(Client(database, "operator", read_timeout=1)) as client:
        with pytest.raises(mysql.connector.Error) as error:
            client.do("SELECT SLEEP(60)")
        assert may_pass(error.value)


KEYED = (
    "INSERT INTO transactions (payment_key, user_id, amount, currency, country)"
    " VALUES ('0b9c5a2e-6c1f-4d0e-9d55-3f0a4a5b7c11', {}, 1, 'EUR', 'DE')"
)
KEPT = "SELECT COUNT(*) FROM transactions WHERE user_id = {}"


def is_duplicate(client: Client, statement: str) -> None:
    with pytest.raises(mysql.connector.Error) as refusal:
        client.do(statement)
    assert refusal.value.errno == mysql.connector.errorcode.ER_DUP_ENTRY


def test_a_payment_key_is_good_for_one_payment(clients: Any) -> None:
    learner = clients()
    learner.do(KEYED.format(1))
    is_duplicate(learner, KEYED.format(1))
    is_duplicate(learner, KEYED.format(2))
    learner.do(KEYED.format(1).replace("INSERT", "INSERT IGNORE"), PAY.format(1), PAY.format(1))
    assert learner.value(KEPT.format(1)) == 3, "those without a key are as many as they are"


def test_a_payment_sent_again_after_the_stop_is_a_duplicate_and_another_is_refused(clients: Any) -> None:
    learner, root = clients(), clients("root")
    learner.do(KEYED.format(1), STOP.format(1))
    is_duplicate(learner, KEYED.format(1))
    root.is_refused(KEYED.format(1).replace("0b9c", "1b9c"), "the account is stopped")
    learner.is_refused(PAY.format(1), "the account is stopped")


def test_a_payment_sent_again_waits_for_the_transaction_that_made_it(clients: Any) -> None:
    """Under every isolation: it is one payment, however the first transaction ends."""
    for isolation in ("READ COMMITTED", "REPEATABLE READ"):
        first, second = clients(autocommit=False), clients(autocommit=False)
        second.do(f"SET SESSION TRANSACTION ISOLATION LEVEL {isolation}")
        first.do(KEYED.format(1))
        with pytest.raises(mysql.connector.Error) as waited:
            second.do(KEYED.format(1))
        assert waited.value.errno == LOCK_WAIT_TIMEOUT
        second.do("ROLLBACK", KEPT.format(1))  # under REPEATABLE READ it goes on seeing what there is now
        first.do("COMMIT", STOP.format(1), "COMMIT")
        is_duplicate(second, KEYED.format(1))
        second.do("ROLLBACK")
        first.do("DELETE FROM transactions WHERE payment_key IS NOT NULL", REINSTATE.format(1), "COMMIT")
