"""Whether the captured tables are as the pipeline needs them: other people change tables, too, and add foreign keys."""

import re
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from typing import Any, NamedTuple

from fraudlab.pipeline.statements import statements

CAPTURED = ("user_profile", "transactions")
HISTORY = (
    "account_states",
    "declined_transactions",
    "deleted_transactions",
    "deleted_users",
    "flag_changes",
    "fraud_labels",
    "notifications",
    "payment_episodes",
)
"""Tables whose rows are never to go with rows of another table."""
GUARDS = {
    "use_delete_because_truncate_would_leave_no_history_of_payments": "transactions",
    "use_delete_because_truncate_would_leave_no_history_of_users": "user_profile",
}
"""Foreign keys of `truncate_guard` and the tables that they are on. They follow a table that is renamed."""
THEN_RESNAPSHOT = "Then `fraudlab resnapshot` reads both tables again."

_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS \w+\.(\w+) \((.*)\)\Z", re.DOTALL)
_COLUMN = re.compile(r"  (\w+) ((INT|BIGINT|BOOLEAN|\w+\([\d,]+\))(?: .*)?)\Z")
_WIDTH = re.compile(r"(?<=int)\(\d+\)")


class TableProblem(NamedTuple):
    """What is wrong with a table, and what to do next."""

    what: str
    advice: str


def problem(connection: Any, database: str, *, created: bool = False) -> TableProblem | None:
    """What in a payment database keeps changes from being captured, or captured rightly; None if nothing does.

    Further columns, and another order of columns, are no problem.

    Args:
        connection: A `mysql.connector` connection of an account that may read the captured tables.
        database: The database's name.
        created: Whether its tables must be there. Otherwise they need not, as long as none of them is.

    Raises:
        mysql.connector.Error: MySQL does not answer.
    """
    with closing(connection.cursor()) as cursor:
        cursor.execute(
            "SELECT table_name, column_name, CAST(column_type AS CHAR) FROM information_schema.columns WHERE table_schema = %s",
            (database,),
        )
        there: dict[str, dict[str, str]] = {}
        for table, column, kind in cursor.fetchall():
            there.setdefault(table, {})[column] = _WIDTH.sub("", kind)
        cursor.execute(
            "SELECT constraint_name, table_name, referenced_table_name, delete_rule, update_rule"
            " FROM information_schema.referential_constraints"
            " WHERE constraint_schema = %s",
            (database,),
        )
        keys = sorted(cursor.fetchall())
    if not created and not there.keys() & {*CAPTURED, *HISTORY}:
        return None
    return next(chain(_wrong_columns(database, there), _replaced(database, keys), _cascades(database, keys)), None)


def _wrong_columns(database: str, there: dict[str, dict[str, str]]) -> Iterator[TableProblem]:
    for table, columns in _needed().items():
        name = f"{database}.{table}"
        if table not in there:
            yield TableProblem(
                f"there is no table {name} any more",
                "If it was renamed, rename it back (RENAME TABLE); if it was dropped, restore it from a backup. "
                f"{THEN_RESNAPSHOT} Without a backup, `fraudlab reset` and `fraudlab up` start from empty data.",
            )
            continue
        for column, definition in columns.items():
            kind = there[table].get(column)
            if kind is None:
                yield TableProblem(
                    f"the table {name} has no column {column} any more",
                    "If it was renamed, give it its name back (ALTER TABLE … RENAME COLUMN). If it was dropped, restore the table from a "
                    f"backup, or add it again without its values: `ALTER TABLE {name} ADD COLUMN {column} {definition}`. "
                    f"{THEN_RESNAPSHOT}",
                )
            elif kind != (needed := _kind(definition)):
                yield TableProblem(
                    f"the column {column} of the table {name} is {kind}, and the pipeline reads {needed}",
                    f"`ALTER TABLE {name} MODIFY COLUMN {column} {definition}`. {THEN_RESNAPSHOT}",
                )


def _replaced(database: str, keys: list[tuple[str, ...]]) -> Iterator[TableProblem]:
    """Tables in whose place there is another one, as after `RENAME TABLE t TO old, new TO t`: its ids may begin again at 1."""
    for key, _, referenced, *_ in keys:
        table = GUARDS.get(key, referenced)
        if referenced != table:
            yield TableProblem(
                f"{database}.{table} is another table than before, which is {database}.{referenced} now",
                "If the new one lacks rows of the old one, rename both back (RENAME TABLE). Otherwise "
                f"`DROP TABLE {database}.truncate_guard`, and `fraudlab up` makes it again. {THEN_RESNAPSHOT}",
            )


def _cascades(database: str, keys: list[tuple[str, ...]]) -> Iterator[TableProblem]:
    """Foreign keys with which MySQL changes rows by itself: it runs no trigger for them, and the binlog does not have them."""
    for key, table, _, on_delete, on_update in keys:
        rules = [f"{when} {rule}" for when, rule in (("ON DELETE", on_delete), ("ON UPDATE", on_update)) if _acts(rule)]
        if rules and table in (*CAPTURED, *HISTORY):
            yield TableProblem(
                f"the foreign key {key} of the table {database}.{table} has {' and '.join(rules)}: "
                "MySQL runs no trigger for such changes and writes none to the binlog, so they are never captured",
                f"`ALTER TABLE {database}.{table} DROP FOREIGN KEY {key}`, and add it again with ON DELETE RESTRICT. {THEN_RESNAPSHOT}",
            )


def _acts(rule: str) -> bool:
    return rule not in ("RESTRICT", "NO ACTION")


def _needed() -> dict[str, dict[str, str]]:
    """Table to column to definition, as schema.sql creates the captured tables."""
    created = [_TABLE.search(statement) for statement in statements("schema.sql", {"database": "payment"})]
    return {
        table[1]: {
            column[1]: column[2].replace(" PRIMARY KEY", "")
            for line in table[2].splitlines()
            if (column := _COLUMN.match(line.rstrip(",")))
        }
        for table in created
        if table and table[1] in CAPTURED
    }


def _kind(definition: str) -> str:
    """A column's type as MySQL shows it, without the display width of integers."""
    kind = definition.split()[0].lower()
    return "tinyint" if kind == "boolean" else kind
