"""Sessions with MySQL that raise `mysql.connector.Error`, and nothing else, whatever becomes of the server."""

from collections.abc import Callable
from typing import Any

import mysql.connector
from mysql.connector.errors import get_mysql_exception

try:
    from mysql.connector.connection_cext import CMySQLConnection as _Connection
    from mysql.connector.connection_cext import MySQLInterfaceError  # type: ignore[attr-defined]
except ImportError:  # the connector in pure Python, which has no exceptions of its own
    from mysql.connector.connection import MySQLConnection as _Connection  # type: ignore[assignment]

    MySQLInterfaceError = mysql.connector.Error


ANSWER_S = 300
"""How long a statement waits for the server. Without a limit it waits for ever for one that hangs, and Python's signals, Ctrl-C among
them, wait with it: the C extension does not return for them."""


class Session(_Connection):
    """A connection of `mysql.connector` whose statements end, with an error of the client, when the server says nothing for ANSWER_S.

    Its C extension translates the errors of statements, but not those of `commit` and `rollback`: a server that was killed between the
    two raised a class that nobody catches.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"read_timeout": ANSWER_S, "write_timeout": ANSWER_S} | options)

    def commit(self) -> None:
        """Raises mysql.connector.Error when it is not known whether the server has committed, or when it refused to."""
        _translated(super().commit)

    def rollback(self) -> None:
        """Raises mysql.connector.Error when the connection is broken: the server rolls back automatically then."""
        _translated(super().rollback)


def _translated(call: Callable[[], Any]) -> None:
    try:
        call()
    except mysql.connector.Error:
        raise
    except MySQLInterfaceError as error:
        raise get_mysql_exception(error.errno, msg=error.msg, sqlstate=error.sqlstate) from error
