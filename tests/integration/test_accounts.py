"""Least privilege: each account does its own work, and nothing else."""

from contextlib import closing
from typing import Any

import mysql.connector
import pytest
from mysql.connector import errorcode

from fraudlab import system
from fraudlab.services.mysql_retry import may_pass

DENIED = {
    errorcode.ER_TABLEACCESS_DENIED_ERROR,
    errorcode.ER_COLUMNACCESS_DENIED_ERROR,
    errorcode.ER_DBACCESS_DENIED_ERROR,
    errorcode.ER_SPECIFIC_ACCESS_DENIED_ERROR,
    errorcode.ER_ACCESS_DENIED_ERROR,
}

TABLES = (
    "user_profile",
    "transactions",
    "fraud_labels",
    "declined_transactions",
    "flag_changes",
    "notifications",
    "deleted_transactions",
    "deleted_users",
    "due_stops",
)
NOTIFICATION = (
    "(user_id, episode, channel, activity_id, activity, source_partition, source_offset, message_id) "
    "VALUES (1, 0, 'email', 'activity-1', '{}', 0, 0, '')"
)

ALLOWED = [
    ("generator", "INSERT INTO user_profile (user_id, first_name) VALUES (2, 'Grace')"),
    ("generator", "SELECT user_id, first_name, last_name, home_country, suspicious_activities FROM user_profile"),
    (
        "generator",
        "INSERT INTO transactions (payment_key, user_id, amount, currency, country) VALUES (UUID(), 1, 1, 'EUR', 'DE')",
    ),
    ("generator", "INSERT INTO fraud_labels VALUES (1, 'cloned_card')"),
    ("generator", "INSERT INTO declined_transactions (user_id, reason) VALUES (1, 'refused')"),
    ("cdc", "SELECT * FROM user_profile"),
    ("cdc", "SELECT * FROM transactions"),
    ("cdc", "SHOW MASTER STATUS"),
    ("flagger", "UPDATE user_profile SET suspicious_activities = TRUE WHERE user_id = 1"),
    ("flagger", "SELECT user_id, suspicious_activities FROM user_profile"),
    ("flagger", "SELECT * FROM flag_changes"),
    ("flagger", "SELECT user_id FROM user_profile WHERE user_id = 1 FOR UPDATE SKIP LOCKED"),
    ("flagger", "INSERT INTO due_stops (user_id, known_by, reason) VALUES (1, 2, 'locked')"),
    ("flagger", "UPDATE due_stops SET attempts = attempts + 1"),
    ("flagger", "DELETE FROM due_stops WHERE user_id = 1"),
    ("flagger", "SELECT * FROM account_states"),
    ("flagger", "CALL lock_account(1, FALSE)"),
    ("flagger", "CALL stop_closed(1, 1)"),
    ("flagger", "CALL interrupt_own(1)"),
    ("flagger", "SELECT * FROM payment_episodes"),
    ("notifier", f"INSERT INTO notifications {NOTIFICATION} ON DUPLICATE KEY UPDATE status = status"),
    (
        "notifier",
        "UPDATE notifications SET status = 'sent', attempts = 1, sent_at = NOW(3), reason = '', next_attempt_at = NOW()",
    ),
    ("notifier", "SELECT * FROM notifications"),
    ("notifier", "SELECT * FROM flag_changes"),
    ("notifier", "SELECT * FROM payment_episodes"),
    ("notifier", "SELECT user_id, home_country FROM user_profile"),
    (
        "notifier",
        "SELECT transaction_id, user_id, amount, currency, country, merchant, transaction_time FROM transactions",
    ),
    ("notifier", "SELECT GET_LOCK('a turn', 0)"),
    *(("analytics", f"SELECT * FROM {table}") for table in TABLES),
    ("operator", "UPDATE user_profile SET suspicious_activities = FALSE WHERE user_id = 1"),
    ("operator", "SELECT * FROM fraud_labels"),
    ("operator", "SELECT * FROM transactions"),
    ("operator", "CREATE TEMPORARY TABLE scratch (id INT)"),
    ("learner", "ALTER TABLE user_profile ADD COLUMN x INT"),
    ("learner", "ALTER TABLE user_profile DROP COLUMN x"),
]

EVERYONE = ("generator", "cdc", "flagger", "notifier", "analytics", "operator")
NOBODY_MAY = (
    "DELETE FROM transactions",
    "DELETE FROM user_profile",
    "UPDATE transactions SET amount = 0",
    "UPDATE fraud_labels SET scenario = ''",
    "DELETE FROM flag_changes",
    "UPDATE account_states SET stopped = FALSE",
    "INSERT INTO payment_episodes VALUES (1, 1)",
    "DELETE FROM notifications",
    "UPDATE notifications SET user_id = 2",
    "INSERT INTO flag_changes (user_id, suspicious_activities) VALUES (1, FALSE)",
    "UPDATE user_profile SET email = 'thief@example.com'",
    "DROP TABLE transactions",
    "DROP TRIGGER refuse_flagged",
    "ALTER TABLE transactions ADD COLUMN x INT",
    "CREATE TABLE x (id INT)",
    "TRUNCATE TABLE declined_transactions",
    "CREATE USER 'x'@'127.0.0.1'",
    "GRANT SELECT ON user_profile TO CURRENT_USER()",
    "SELECT * FROM mysql.user",
    "SELECT * FROM payment.user_profile",
    "INSERT INTO payment.transactions (user_id) VALUES (1)",
    "SET GLOBAL log_bin_trust_function_creators = 1",
)

FORBIDDEN = [
    *((role, statement) for role in EVERYONE for statement in NOBODY_MAY),
    ("generator", "UPDATE user_profile SET suspicious_activities = FALSE"),
    ("generator", "SELECT email FROM user_profile"),
    ("generator", "SELECT phone_number FROM user_profile"),
    ("generator", "SELECT * FROM user_profile"),
    ("generator", "SELECT transaction_id FROM transactions"),
    ("generator", "SELECT payment_key FROM transactions"),
    ("generator", "INSERT INTO transactions (user_id, created_at) VALUES (1, '2037-01-01')"),
    ("generator", "INSERT INTO transactions (user_id, transaction_id) VALUES (1, 1000000)"),
    ("generator", "INSERT INTO user_profile (user_id, created_at) VALUES (3, '2037-01-01')"),
    ("generator", "INSERT INTO user_profile (user_id, suspicious_activities) VALUES (3, TRUE)"),
    ("generator", "SELECT * FROM fraud_labels"),
    ("generator", "SELECT declined_id FROM declined_transactions"),
    ("generator", "SHOW MASTER STATUS"),
    ("cdc", "SELECT * FROM fraud_labels"),
    ("cdc", "SELECT * FROM declined_transactions"),
    ("cdc", "INSERT INTO transactions (user_id) VALUES (1)"),
    ("cdc", "UPDATE user_profile SET suspicious_activities = FALSE"),
    ("flagger", "SELECT email FROM user_profile"),
    ("flagger", "SELECT * FROM transactions"),
    ("flagger", "SELECT * FROM fraud_labels"),
    ("flagger", "INSERT INTO user_profile (user_id) VALUES (3)"),
    ("flagger", "UPDATE user_profile SET user_id = 3"),
    ("flagger", "SHOW MASTER STATUS"),
    ("cdc", "SELECT * FROM notifications"),
    ("generator", "SELECT * FROM notifications"),
    ("flagger", f"INSERT INTO notifications {NOTIFICATION}"),
    ("notifier", "SELECT email FROM user_profile"),
    ("notifier", "SELECT * FROM transactions"),
    ("notifier", "SELECT * FROM fraud_labels"),
    ("notifier", "SELECT * FROM declined_transactions"),
    ("notifier", "INSERT INTO transactions (user_id) VALUES (1)"),
    ("notifier", "UPDATE user_profile SET suspicious_activities = FALSE"),
    ("notifier", "SHOW MASTER STATUS"),
    ("analytics", "INSERT INTO transactions (user_id) VALUES (1)"),
    ("analytics", "UPDATE user_profile SET suspicious_activities = FALSE"),
    ("analytics", f"INSERT INTO notifications {NOTIFICATION}"),
    ("analytics", "UPDATE notifications SET status = 'sent'"),
    ("analytics", "CREATE TEMPORARY TABLE scratch (id INT)"),
    ("analytics", "SHOW MASTER STATUS"),
    ("operator", "UPDATE notifications SET status = 'sent'"),
    ("operator", "INSERT INTO transactions (user_id) VALUES (1)"),
    ("operator", "INSERT INTO user_profile (user_id) VALUES (3)"),
    ("operator", "SHOW MASTER STATUS"),
    # They may add columns to user_profile, and to nothing else.
    ("learner", "ALTER TABLE transactions ADD COLUMN x INT"),
    ("learner", "ALTER TABLE user_profile RENAME TO x"),
    ("learner", "DROP TABLE user_profile"),
    ("learner", "DROP TRIGGER refuse_flagged"),
    ("learner", "CREATE TABLE x (id INT)"),
    ("learner", "UPDATE account_states SET stopped = FALSE"),
]


def as_role(database: Any, role: str, *statements: str) -> None:
    with closing(database.connect(role)) as connection, closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)
            cursor.fetchall()
        connection.commit()


def test_each_account_can_do_its_work(database: Any) -> None:
    as_role(database, "root", "INSERT INTO user_profile (user_id) VALUES (1)")
    for role, statement in ALLOWED:
        as_role(database, role, statement)


def test_each_account_is_refused_everything_else(database: Any) -> None:
    as_role(database, "root", "INSERT INTO user_profile (user_id) VALUES (1)")
    done = []
    for role in (*EVERYONE, "learner"):
        with closing(database.connect(role, autocommit=True)) as connection:
            for statement in [one for who, one in FORBIDDEN if who == role]:
                if (code := error_code(connection, statement)) not in DENIED:
                    done.append((role, statement, code))
    assert done == [], "role, statement, and the error where one came that is no denial"


def test_nobody_reaches_an_account_without_its_password(database: Any) -> None:
    from fraudlab.settings import Settings

    settings: Settings = database.settings
    for role in EVERYONE:
        with pytest.raises(mysql.connector.Error) as refusal:
            mysql.connector.connect(
                host=settings.mysql_host, port=settings.mysql_port, user=settings.names.account(role), password=""
            )
        assert refusal.value.errno == errorcode.ER_ACCESS_DENIED_ERROR


def test_a_payment_is_never_changed_not_even_by_an_administrator(database: Any) -> None:
    as_role(database, "root", "INSERT INTO transactions (user_id, amount, currency) VALUES (1, 1, 'EUR')")
    with pytest.raises(mysql.connector.Error, match="a payment is never changed"):
        as_role(database, "root", "UPDATE transactions SET amount = 2")


def test_preparing_again_leaves_the_triggers_as_they_are_and_mends_one_that_differs(database: Any) -> None:
    before = triggers(database)
    assert {"refuse_flagged", "payments_are_final", "record_flag_change"} <= set(before)
    system.create_database(database.settings)
    assert triggers(database) == before, "none was away for a moment"

    as_role(
        database,
        "root",
        "DROP TRIGGER payments_are_final",
        "CREATE TRIGGER payments_are_final BEFORE UPDATE ON transactions FOR EACH ROW SET NEW.amount = 0",
        "DROP TRIGGER keep_deleted_user",
    )
    system.create_database(database.settings)
    after = triggers(database)
    assert {name: body for name, (_, body) in after.items()} == {name: body for name, (_, body) in before.items()}
    unchanged = set(before) - {"payments_are_final", "keep_deleted_user"}
    assert all(after[name] == before[name] for name in unchanged)


def test_preparing_again_leaves_the_procedures_as_they_are(database: Any) -> None:
    """While one that the triggers call was away for a moment, a payment was refused with error 1305, which ended the bank."""
    before = made(database)
    system.create_database(database.settings)
    assert made(database) == before
    as_role(database, "root", "DROP PROCEDURE require_plain_session")
    system.create_database(database.settings)
    assert made(database) == before + 1
    as_role(database, "root", "INSERT INTO user_profile (user_id) VALUES (1)")


def made(database: Any) -> int:
    """How many procedures and triggers the server has ever made."""
    with closing(database.connect("root")) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("SHOW GLOBAL STATUS WHERE variable_name IN ('Com_create_procedure', 'Com_create_trigger')")
        return sum(int(count) for _, count in cursor.fetchall())


def triggers(database: Any) -> dict[str, tuple[Any, str]]:
    """Name to time of creation and body."""
    with closing(database.connect("root")) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(
            "SELECT trigger_name, created, action_statement FROM information_schema.triggers WHERE trigger_schema = %s",
            (database.name,),
        )
        return {name: (created, body) for name, created, body in cursor.fetchall()}


def error_code(connection: Any, statement: str) -> int | None:
    """MySQL's error for a statement; None where it was done."""
    with closing(connection.cursor()) as cursor:
        try:
            cursor.execute(statement)
            cursor.fetchall()
        except mysql.connector.Error as error:
            return int(error.errno)
    return None


def test_an_earlier_right_of_the_generator_to_read_addresses_is_revoked(database: Any) -> None:
    generator = f"'{database.settings.names.account('generator')}'@'{database.settings.mysql_clients}'"
    as_role(database, "root", f"GRANT SELECT ON {database.name}.user_profile TO {generator}")
    as_role(database, "generator", "SELECT email FROM user_profile")
    system.create_database(database.settings)
    with closing(database.connect("generator", autocommit=True)) as connection:
        assert error_code(connection, "SELECT email FROM user_profile") in DENIED
    as_role(database, "generator", "SELECT first_name FROM user_profile")


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_fault_02_a_session_that_breaks_at_the_end_of_a_transaction_says_so_as_any_other(
    database: Any, ending: str
) -> None:
    session = database.connect("notifier")
    with closing(session.cursor()) as cursor, closing(database.connect("root")) as root, closing(root.cursor()) as kill:
        cursor.execute("SELECT COUNT(*) FROM notifications")
        cursor.fetchall()
        kill.execute(f"KILL CONNECTION {session.connection_id}")
        with pytest.raises(mysql.connector.Error) as raised:
            getattr(session, ending)()
    assert may_pass(raised.value)
