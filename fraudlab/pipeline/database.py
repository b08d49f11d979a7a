"""The payment database: tables, triggers and accounts, created by an administrator."""

import re
from collections.abc import Mapping
from typing import Any

from fraudlab.pipeline.contracts import Names
from fraudlab.pipeline.statements import statements

ROLES = ("generator", "cdc", "flagger", "notifier", "analytics", "operator", "learner")
TRIGGER = re.compile(r"CREATE TRIGGER (\w+)\.(\w+) (?:BEFORE|AFTER) \w+ ON (\S+) FOR EACH ROW\s.*", re.DOTALL)
"""A trigger's statement in schema.sql: its database, its name and its table."""


def create(connection: Any, names: Names, passwords: Mapping[str, str], *, clients: str) -> None:
    """Creates what is missing of the database and its accounts; run again, it changes nothing that is there but the passwords.

    A trigger that differs from today's is replaced, while nobody can write to its table.

    Args:
        connection: A `mysql.connector` connection of an administrator.
        names: The names of the database and the accounts.
        passwords: Role to password, for each of `ROLES`.
        clients: From where the accounts may log in, a host as MySQL names it: `127.0.0.1`, or `%` for anywhere.
    """
    accounts = {role: account(names, role, clients) for role in ROLES}
    with connection.cursor() as cursor:
        for statement in statements("schema.sql", {"database": names.database}):
            if trigger := TRIGGER.search(statement):
                database, name, table = trigger.groups()
                _keep_trigger(cursor, database, name, table, trigger.group())
            else:
                cursor.execute(statement)
        for role in ROLES:
            cursor.execute(f"CREATE USER IF NOT EXISTS {accounts[role]}")
            # The connector's binlog client logs in without TLS, which the default plugin refuses.
            plugin = "mysql_native_password" if role == "cdc" else "caching_sha2_password"
            cursor.execute(f"ALTER USER {accounts[role]} IDENTIFIED WITH {plugin} BY %s", (passwords[role],))
        for statement in statements("accounts.sql", {"database": names.database, **accounts}):
            cursor.execute(statement)
    connection.commit()


def _keep_trigger(cursor: Any, database: str, name: str, table: str, statement: str) -> None:
    """Creates a trigger where it is missing or another one has its name."""
    cursor.execute(
        "SELECT CONCAT('CREATE TRIGGER ', trigger_schema, '.', trigger_name, ' ', action_timing, ' ', event_manipulation,"
        " ' ON ', event_object_schema, '.', event_object_table, ' FOR EACH ROW ', action_statement)"
        " FROM information_schema.triggers WHERE trigger_schema = %s AND trigger_name = %s",
        (database, name),
    )
    there = cursor.fetchone()
    if there is not None and there[0].split() == statement.split():
        return
    cursor.execute(f"LOCK TABLES {table} WRITE")
    try:
        cursor.execute(f"DROP TRIGGER IF EXISTS {database}.{name}")
        cursor.execute(statement)
    finally:
        cursor.execute("UNLOCK TABLES")


def drop(connection: Any, names: Names, *, clients: str) -> None:
    """Drops the database and its accounts; harmless where they are not there."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {names.database}")
        for role in ROLES:
            cursor.execute(f"DROP USER IF EXISTS {account(names, role, clients)}")


def topics_made(connection: Any, names: Names) -> dict[str, str]:
    """Topic to id of the topics that have been made for this database. Kept here, because Kafka could lose them."""
    with connection.cursor() as cursor:
        if not _has_topics_made(cursor, names):
            return {}
        cursor.execute(f"SELECT topic, topic_id FROM {names.database}.topics_made")  # noqa: S608
        return dict(cursor.fetchall())


def remember_topics(connection: Any, names: Names, ids: Mapping[str, str]) -> None:
    """Writes down which topics have been made, in the place of what was written before; `{}` forgets them all.

    The connection commits by itself. Nothing of this is for the binlog.
    """
    table = f"{names.database}.topics_made"
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin = 0")
        if ids:
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {table} (topic VARCHAR(249) PRIMARY KEY, topic_id CHAR(36) NOT NULL)"
            )
        if _has_topics_made(cursor, names):
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608
            for topic, topic_id in ids.items():
                cursor.execute(f"INSERT INTO {table} VALUES (%s, %s)", (topic, topic_id))  # noqa: S608
        cursor.execute("SET SESSION sql_log_bin = 1")


def _has_topics_made(cursor: Any, names: Names) -> bool:
    cursor.execute(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = %s AND table_name = 'topics_made'",
        (names.database,),
    )
    return bool(cursor.fetchone()[0])


def account(names: Names, role: str, clients: str) -> str:
    """A role's account as MySQL writes it, `'name'@'host'`."""
    return f"'{names.account(role)}'@'{clients}'"
