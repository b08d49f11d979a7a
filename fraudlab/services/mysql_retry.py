"""Waiting for MySQL while it is away, as every service does; and what a service says when it stops waiting."""

import logging
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import mysql.connector
from kafka.errors import KafkaError
from mysql.connector import errorcode
from tenacity import RetryCallState, retry, retry_if_exception, stop_after_delay, wait_exponential

DATABASE_PATIENCE_S = 300
SHORT_WAITS = (
    "SET SESSION innodb_lock_wait_timeout = 1, SESSION lock_wait_timeout = 1,"
    " SESSION transaction_isolation = 'READ-COMMITTED', SESSION completion_type = 'NO_CHAIN'"
)
"""A statement waits for a lock for about a second at most, the shortest time that MySQL offers."""

OF_THE_CLIENT = {-1, *range(2000, 2100)}
"""Numbers from the client: no connection, or one that broke."""
SERVER_AWAY = {
    errorcode.ER_CON_COUNT_ERROR,
    errorcode.ER_BAD_HOST_ERROR,
    errorcode.ER_HANDSHAKE_ERROR,
    errorcode.ER_SERVER_SHUTDOWN,
    1077,  # normal shutdown
    errorcode.ER_SHUTDOWN_COMPLETE,
    errorcode.ER_FORCING_CLOSE,
    errorcode.ER_HOST_IS_BLOCKED,
    errorcode.ER_CANT_CREATE_THREAD,
    errorcode.ER_ABORTING_CONNECTION,
    *range(errorcode.ER_NET_PACKET_TOO_LARGE + 1, errorcode.ER_NET_WRITE_INTERRUPTED + 1),
    errorcode.ER_NEW_ABORTING_CONNECTION,
    errorcode.ER_TOO_MANY_USER_CONNECTIONS,
    errorcode.ER_USER_LIMIT_REACHED,
    errorcode.ER_OPTION_PREVENTS_STATEMENT,  # read-only, for the moment
    errorcode.ER_READ_ONLY_MODE,
    1927,  # connection killed, as MariaDB and proxies say it
    errorcode.ER_SERVER_OFFLINE_MODE,
    errorcode.ER_SERVER_ISNT_AVAILABLE,
    errorcode.ER_SESSION_WAS_KILLED,
    errorcode.ER_CLIENT_INTERACTION_TIMEOUT,
}
"""The server is not available to us at the moment: it starts, stops, is full, or has ended our session."""
OUT_OF_RESOURCES = {
    errorcode.ER_ERROR_ON_WRITE,
    1021,  # disk full
    errorcode.ER_GET_ERRNO,
    errorcode.ER_OUTOFMEMORY,
    errorcode.ER_OUT_OF_SORTMEMORY,
    errorcode.ER_OUT_OF_RESOURCES,
    errorcode.ER_RECORD_FILE_FULL,
    errorcode.ER_ERROR_DURING_COMMIT,
    errorcode.ER_LOCK_TABLE_FULL,
    errorcode.ER_BINLOG_LOGGING_IMPOSSIBLE,
}
"""What a full disk or memory makes of a statement."""
LOCKED = {errorcode.ER_LOCK_WAIT_TIMEOUT, errorcode.ER_LOCK_NOWAIT, errorcode.ER_QUERY_INTERRUPTED}
"""Another session holds a lock that the statement needs, and the wait for it ended or was interrupted."""
ROLLED_BACK = {
    errorcode.ER_LOCK_DEADLOCK,
    errorcode.ER_QUERY_TIMEOUT,
    errorcode.ER_TRANSACTION_ROLLBACK_DURING_COMMIT,
}
"""The server has rolled the transaction back; it may succeed when it is tried again."""
MAY_PASS = OF_THE_CLIENT | SERVER_AWAY | OUT_OF_RESOURCES | LOCKED | ROLLED_BACK

P = ParamSpec("P")
T = TypeVar("T")


def may_pass(error: BaseException) -> bool:
    """Whether an error of MySQL, or of the connection to it, is temporary, so that the work should be tried again. The number decides.

    The class does not: the connector raises most of them as a DatabaseError, and other releases of it use other classes.
    """
    if isinstance(error, mysql.connector.Error):
        return error.errno in MAY_PASS
    return isinstance(error, OSError)  # the pure-Python client passes socket errors on unchanged


def is_locked(error: mysql.connector.Error) -> bool:
    """Whether another session holds a lock that the statement needed."""
    return error.errno in LOCKED


def patiently(log: logging.Logger) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Does the work again, with growing pauses, after an error that may pass.

    The work must be idempotent, and open a new connection after an error. If it does not succeed within five minutes, its
    last error is raised.
    """

    def say_waiting(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("waiting for MySQL: %s", error)

    return retry(
        retry=retry_if_exception(may_pass),
        wait=wait_exponential(multiplier=0.1, max=2),
        stop=stop_after_delay(DATABASE_PATIENCE_S),
        before_sleep=say_waiting,
        reraise=True,
    )


def ending_in_one_line(run: Callable[[], T], log: logging.Logger) -> T:
    """Runs a service. When MySQL or Kafka makes it end, it ends with status 1 and one line instead of a traceback."""
    try:
        return run()
    except (mysql.connector.Error, OSError) as error:
        who, what = "MySQL", str(error)
    except KafkaError as error:
        who, what = "Kafka", repr(error)
    log.critical(
        "%s refused or was away for too long, so this service ends and its supervisor restarts it: %s", who, what
    )
    sys.exit(1)
