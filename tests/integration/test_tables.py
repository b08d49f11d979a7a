"""Tables that others change: `fraudlab up` names what keeps changes from being captured, changes nothing, and what it advises helps."""

import re
from contextlib import closing

import mysql.connector
import pytest

from fraudlab import system
from fraudlab.errors import UserError
from fraudlab.pipeline import tables_check
from tests.conftest import Database

COLUMNS = {
    "a column is dropped": ("transactions DROP COLUMN merchant", "has no column merchant any more"),
    "a column of profiles is dropped": ("user_profile DROP COLUMN last_name", "has no column last_name any more"),
    "a text is longer": ("transactions MODIFY merchant TEXT", "merchant .* is text, and the pipeline reads varchar"),
    "amounts are larger": ("transactions MODIFY amount DECIMAL(14,2)", r"amount .* is decimal\(14,2\)"),
    "amounts have four places": ("transactions MODIFY amount DECIMAL(14,4)", r"amount .* is decimal\(14,4\)"),
    "amounts are floating-point": ("transactions MODIFY amount DOUBLE", "amount .* is double"),
    "users are BIGINT": ("transactions MODIFY user_id BIGINT UNSIGNED NOT NULL", "user_id .* is bigint unsigned"),
    "times have no zone": ("transactions MODIFY transaction_time DATETIME(3)", r"transaction_time .* is datetime\(3\)"),
    "currencies are an ENUM": ("transactions MODIFY currency ENUM('EUR', 'USD')", "currency .* is enum"),
    "the flag is a text": ("user_profile MODIFY suspicious_activities VARCHAR(5)", r"activities .* is varchar\(5\)"),
}
HARMLESS = (
    "transactions ADD COLUMN note VARCHAR(20) AFTER user_id",
    "transactions MODIFY merchant VARCHAR(120) FIRST",
    "transactions ADD KEY by_merchant (merchant)",
    "user_profile ADD COLUMN place POINT",
    "transactions ADD CONSTRAINT own FOREIGN KEY (user_id) REFERENCES user_profile (user_id) ON DELETE RESTRICT",
)
KEYS = {
    "ON DELETE CASCADE": "transactions ADD CONSTRAINT own FOREIGN KEY (user_id) REFERENCES user_profile (user_id) ON DELETE CASCADE",
    "ON UPDATE CASCADE": "flag_changes ADD CONSTRAINT own FOREIGN KEY (user_id) REFERENCES user_profile (user_id) ON UPDATE CASCADE",
    "ON DELETE SET NULL": "user_profile ADD CONSTRAINT own FOREIGN KEY (home_country) REFERENCES countries (code) ON DELETE SET NULL",
}


def alter(database: Database, change: str) -> None:
    with closing(database.connect("root")) as connection, connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {change}")


def problem(database: Database, role: str = "root") -> tables_check.TableProblem | None:
    with closing(database.connect(role)) as connection:
        return tables_check.problem(connection, database.name, created=True)


def advised(advice: str) -> str:
    """The statement that an advice names."""
    (statement,) = re.findall(r"`(ALTER TABLE [^`]*)`", advice)
    return str(statement)


@pytest.mark.parametrize("case", COLUMNS)
def test_a_column_that_is_not_what_the_pipeline_reads_is_named_with_the_statement_that_helps(
    database: Database, case: str
) -> None:
    change, words = COLUMNS[case]
    alter(database, change)
    with pytest.raises(UserError, match=words) as refusal:
        system.create_database(database.settings)
    assert "`fraudlab resnapshot`" in refusal.value.advice
    seen = problem(database, "cdc")
    assert seen is not None, "status asks with the account of the job"
    assert seen.what in str(refusal.value)
    alter(database, advised(refusal.value.advice).removeprefix("ALTER TABLE "))
    assert problem(database) is None
    system.create_database(database.settings)


def test_a_table_that_was_renamed_is_missed_and_never_replaced_by_an_empty_one(database: Database) -> None:
    with closing(database.connect("root")) as connection, connection.cursor() as cursor:
        cursor.execute("RENAME TABLE transactions TO payments")
        with pytest.raises(UserError, match=f"there is no table {database.name}.transactions any more") as refusal:
            system.create_database(database.settings)
        assert "RENAME TABLE" in refusal.value.advice
        assert problem(database, "cdc") is not None
        cursor.execute("SHOW TABLES LIKE 'transactions'")
        assert cursor.fetchall() == []
        cursor.execute("RENAME TABLE payments TO transactions")
    system.create_database(database.settings)
    assert problem(database) is None


def test_a_table_in_whose_place_another_one_was_put_is_named(database: Database) -> None:
    """Tools that change large tables end like this. In an empty table, a payment gets the id of an earlier one, and counts for nothing."""
    with closing(database.connect("root")) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE copy LIKE transactions")
        cursor.execute("RENAME TABLE transactions TO original, copy TO transactions")
        with pytest.raises(UserError, match=rf"transactions is another .* is {database.name}.original now") as refusal:
            system.create_database(database.settings)
        (statement,) = re.findall("`(DROP TABLE [^`]*)`", refusal.value.advice)
        cursor.execute(statement)
        system.create_database(database.settings)
        assert problem(database) is None
        with pytest.raises(mysql.connector.Error, match="use_delete"):
            cursor.execute("TRUNCATE TABLE transactions")


@pytest.mark.parametrize("rule", KEYS)
def test_a_foreign_key_with_which_mysql_changes_rows_unseen_is_named(database: Database, rule: str) -> None:
    with closing(database.connect("root")) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE countries (code CHAR(2) PRIMARY KEY)")
    alter(database, KEYS[rule])
    with pytest.raises(UserError, match=f"the foreign key own of the table .* has {rule}") as refusal:
        system.create_database(database.settings)
    if not KEYS[rule].startswith("flag_changes"):
        assert problem(database, "cdc") is not None, "status asks with the account of the job"
    alter(database, advised(refusal.value.advice).removeprefix("ALTER TABLE "))
    system.create_database(database.settings)


@pytest.mark.parametrize("change", HARMLESS)
def test_what_others_add_is_no_problem(database: Database, change: str) -> None:
    alter(database, change)
    assert problem(database) is None
    assert problem(database, "cdc") is None
    system.create_database(database.settings)
