"""The payment database: tables, triggers and accounts, created by an administrator."""

import re
from collections.abc import Mapping
from typing import Any

from fraudlab.pipeline import tables_check
from fraudlab.pipeline.contracts import Names
from fraudlab.pipeline.statements import statements

ROLES = ("generator", "cdc", "flagger", "notifier", "analytics", "operator", "learner")
TRIGGER = re.compile(r"CREATE TRIGGER (\w+)\.(\w+) (?:BEFORE|AFTER) \w+ ON \S+ FOR EACH ROW\s.*", re.DOTALL)
"""A trigger's statement in schema.sql: its database and its name."""
PROCEDURE = re.compile(r"CREATE PROCEDURE (\w+)\.(\w+)\([^)]*\)\s(.*)", re.DOTALL)
"""A procedure's statement in schema.sql: its database, its name and its body."""
CONNECTIONS = 50
"""So many sessions may an account have: all accounts of one learner leave some of the server's (`max-connections`) to others."""
SQL_MODE = "ONLY_FULL_GROUP_BY,STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"
"""The SQL mode of the triggers. Without NO_ZERO_DATE, so that a row of an earlier version with such a date can be deleted and kept."""
BINLOG = {"log_bin": "ON", "binlog_format": "ROW", "binlog_row_image": "FULL", "binlog_transaction_compression": "OFF"}
"""The values that change data capture needs; not every server has each variable."""


class UnusableServerError(Exception):
    """A MySQL server whose settings would make change data capture miss changes; `str()` says which, and what they must be."""


class WrongTablesError(Exception):
    """Tables that others have changed so that changes would not be captured, or wrongly."""

    def __init__(self, problem: tables_check.TableProblem) -> None:
        super().__init__(problem.what)
        self.advice = problem.advice


def create(connection: Any, names: Names, passwords: Mapping[str, str], *, clients: str) -> None:
    """Creates what is missing of the database and its accounts; run again, it changes nothing that is there but the passwords.

    Tables of an earlier version are brought up to date. Triggers that are missing or differ from today's are replaced
    while all tables are locked.

    Args:
        connection: A `mysql.connector` connection of an administrator.
        names: The names of the database and the accounts.
        passwords: Role to password, for each of `ROLES`.
        clients: From where the accounts may log in, a host as MySQL names it: `127.0.0.1`, or `%` for anywhere.

    Raises:
        UnusableServerError: Change data capture would miss changes on this server; nothing was changed.
        WrongTablesError: It would miss changes of these tables; nothing was changed.
    """
    accounts = {role: account(names, role, clients) for role in ROLES}
    values = {"database": names.database}
    with connection.cursor() as cursor:
        _require_usable(cursor, names.database)
        if problem := tables_check.problem(connection, names.database):
            raise WrongTablesError(problem)
        cursor.execute("SET SESSION sql_mode = %s", (SQL_MODE,))
        triggers = {}
        for statement in statements("schema.sql", values):
            if trigger := TRIGGER.search(statement):
                triggers[trigger.group(2)] = trigger.group()
            elif procedure := PROCEDURE.search(statement):
                _keep_procedure(cursor, procedure)
            else:
                cursor.execute(statement)
        _add_missing_column(cursor, names.database)
        _keep_triggers(cursor, names.database, triggers)
        for role in ROLES:
            cursor.execute(f"CREATE USER IF NOT EXISTS {accounts[role]}")
            # In containers the connector's binlog client logs in without TLS, which the default plugin refuses.
            plugin = "mysql_native_password" if role == "cdc" else "caching_sha2_password"
            cursor.execute(
                f"ALTER USER {accounts[role]} IDENTIFIED WITH {plugin} BY %s WITH MAX_USER_CONNECTIONS {CONNECTIONS}",
                (passwords[role],),
            )
        _revoke_reading_of_addresses(cursor, names.database, accounts["generator"])
        for statement in statements("accounts.sql", {"database": names.database, **accounts}):
            cursor.execute(statement)
    connection.commit()


def _require_usable(cursor: Any, database: str) -> None:
    """Raises UnusableServerError if the server's settings are not those that change data capture needs."""
    wrong = []
    for variable, wanted in BINLOG.items():
        cursor.execute("SHOW GLOBAL VARIABLES WHERE variable_name = %s", (variable,))
        wrong += [f"{name} is {value} and must be {wanted}" for name, value in cursor.fetchall() if value != wanted]
    cursor.execute("SHOW MASTER STATUS")
    for _, _, only, but, *_ in cursor.fetchall():
        if (only and database not in only.split(",")) or database in but.split(","):
            wrong.append(f"binlog_do_db or binlog_ignore_db leaves out {database}")
    cursor.execute("SET SESSION timestamp = 1")
    cursor.execute("SELECT SYSDATE() < '2000-01-01'")
    if cursor.fetchone()[0]:
        wrong.append("sysdate_is_now is ON and must be OFF")
    cursor.execute("SET SESSION timestamp = DEFAULT")
    if wrong:
        raise UnusableServerError(", ".join(wrong))


def _add_missing_column(cursor: Any, database: str) -> None:
    cursor.execute(f"SHOW COLUMNS FROM {database}.declined_transactions LIKE 'change_id'")
    if not cursor.fetchall():
        cursor.execute(f"ALTER TABLE {database}.declined_transactions ADD COLUMN change_id BIGINT")


def _revoke_reading_of_addresses(cursor: Any, database: str, generator: str) -> None:
    """An earlier version let the generator read whole profiles; it may read some columns, which is granted afterwards."""
    cursor.execute(
        "SELECT COUNT(*) FROM information_schema.table_privileges"
        " WHERE grantee = %s AND table_schema = %s AND table_name = 'user_profile' AND privilege_type = 'SELECT'",
        (generator, database),
    )
    if cursor.fetchone()[0]:
        cursor.execute(f"REVOKE SELECT ON {database}.user_profile FROM {generator}")  # noqa: S608


def _keep_procedure(cursor: Any, procedure: re.Match[str]) -> None:
    """Creates a procedure if it is missing or differs. In between, the triggers that call it refuse everything."""
    database, name, body = procedure.groups()
    cursor.execute(
        "SELECT routine_definition FROM information_schema.routines"
        " WHERE routine_schema = %s AND routine_name = %s AND sql_mode = %s",
        (database, name, SQL_MODE),
    )
    if [there.split() for (there,) in cursor.fetchall()] != [body.split()]:
        cursor.execute(f"DROP PROCEDURE IF EXISTS {database}.{name}")
        cursor.execute(procedure.group())


def _keep_triggers(cursor: Any, database: str, triggers: Mapping[str, str]) -> None:
    """Creates those that are missing, and replaces those that differ."""
    cursor.execute(
        "SELECT trigger_name, CONCAT('CREATE TRIGGER ', trigger_schema, '.', trigger_name, ' ', action_timing, ' ', event_manipulation,"
        " ' ON ', event_object_schema, '.', event_object_table, ' FOR EACH ROW ', action_statement)"
        " FROM information_schema.triggers WHERE trigger_schema = %s AND sql_mode = %s",
        (database, SQL_MODE),
    )
    there = {name: statement.split() for name, statement in cursor.fetchall()}
    wanted = {name: statement for name, statement in triggers.items() if there.get(name) != statement.split()}
    if not wanted:
        return
    cursor.execute("SHOW FULL TABLES FROM " + database + " WHERE table_type = 'BASE TABLE'")
    cursor.execute("LOCK TABLES " + ", ".join(f"{database}.{table} WRITE" for table, _ in cursor.fetchall()))
    try:
        if "note_episode" in wanted:
            for statement in statements("upgrade.sql", {"database": database}):
                cursor.execute(statement)
        for name, statement in wanted.items():
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


def long_transactions(connection: Any, seconds: float) -> list[str]:
    """Which transactions have been open for at least `seconds`: the number of the session, whose it is, and for how long."""
    # trx_started is in the server's own time zone, whatever the session's is
    open_s = "TIMESTAMPDIFF(SECOND, t.trx_started, CONVERT_TZ(NOW(), @@session.time_zone, 'SYSTEM'))"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT p.id, p.user, {open_s} AS open_s FROM information_schema.innodb_trx AS t"  # noqa: S608
            " JOIN information_schema.processlist AS p ON p.id = t.trx_mysql_thread_id"
            " HAVING open_s >= %s ORDER BY open_s DESC",
            (seconds,),
        )
        return [f"{session} (of {user}, for {open_s} s)" for session, user, open_s in cursor.fetchall()]


def topics_made(connection: Any, names: Names) -> dict[str, str]:
    """Topic to id of the topics that were created for this database. Kept here, because Kafka could lose them."""
    with connection.cursor() as cursor:
        if not _has_topics_made(cursor, names):
            return {}
        cursor.execute(f"SELECT topic, topic_id FROM {names.database}.topics_made")  # noqa: S608
        return dict(cursor.fetchall())


def remember_topics(connection: Any, names: Names, ids: Mapping[str, str]) -> None:
    """Records which topics were created, and replaces the previous record; `{}` forgets them all.

    The connection must be in autocommit mode. Nothing of this is written to the binlog.
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
