"""The payment database: tables, triggers and accounts, created by an administrator."""

from collections.abc import Mapping
from typing import Any

from fraudlab.pipeline.contracts import Names
from fraudlab.pipeline.statements import statements

ROLES = ("generator", "cdc", "flagger", "notifier", "analytics", "operator", "learner")


def create(connection: Any, names: Names, passwords: Mapping[str, str]) -> None:
    """Creates what is missing of the database and its accounts; run again, it changes nothing that is there but the passwords.

    Args:
        connection: A `mysql.connector` connection of an administrator.
        names: The names of the database and the accounts.
        passwords: Role to password, for each of `ROLES`.
    """
    accounts = {role: f"'{names.account(role)}'@'127.0.0.1'" for role in ROLES}
    with connection.cursor() as cursor:
        for statement in statements("schema.sql", {"database": names.database}):
            cursor.execute(statement)
        for role in ROLES:
            cursor.execute(f"CREATE USER IF NOT EXISTS {accounts[role]}")
            # The connector's binlog client logs in without TLS, which the default plugin refuses.
            plugin = "mysql_native_password" if role == "cdc" else "caching_sha2_password"
            cursor.execute(f"ALTER USER {accounts[role]} IDENTIFIED WITH {plugin} BY %s", (passwords[role],))
        for statement in statements("accounts.sql", {"database": names.database, **accounts}):
            cursor.execute(statement)
    connection.commit()
