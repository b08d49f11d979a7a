"""Which MySQL errors are temporary, whatever class the connector raises them as (fault-02)."""

import logging

import mysql.connector
import pytest
from data_generator import sink
from kafka.errors import KafkaTimeoutError
from mysql.connector.errors import get_mysql_exception

from fraudlab.services.mysql_retry import LOCKED, MAY_PASS, ending_in_one_line, is_locked, may_pass

AWAY = [
    2002,
    2003,
    2006,
    2013,
    2055,
    1040,
    1053,
    1080,
    1203,
    1226,
    1290,
    1317,
    1836,
    1927,
    3024,
    3032,
    3168,
    3169,
    4031,
]
FULL = [1021, 1026, 1030, 1114, 1135]
OUR_FAULT = [1044, 1045, 1049, 1054, 1062, 1064, 1142, 1143, 1146, 1292, 1366, 1406, 1644]


@pytest.mark.parametrize("sqlstate", [None, "HY000", "08S01", "40001", "70100"])
@pytest.mark.parametrize("number", AWAY + FULL + [1205, 1213, 3572])
def test_fault_02_an_error_that_may_pass_is_known_by_its_number_whatever_its_class(
    number: int, sqlstate: str | None
) -> None:
    assert may_pass(get_mysql_exception(number, "x", sqlstate))


@pytest.mark.parametrize("number", OUR_FAULT)
@pytest.mark.parametrize("kind", [mysql.connector.OperationalError, mysql.connector.InterfaceError])
def test_fault_02_an_error_of_our_own_is_not_waited_for_whatever_its_class(
    number: int, kind: type[mysql.connector.Error]
) -> None:
    assert not may_pass(kind("x", errno=number))


def test_fault_02_a_socket_that_breaks_and_a_connection_that_is_gone_may_pass() -> None:
    assert may_pass(ConnectionResetError())
    assert may_pass(TimeoutError())
    assert may_pass(mysql.connector.OperationalError("MySQL Connection not available."))
    assert not may_pass(ValueError())


def test_only_locks_of_others_are_locks() -> None:
    assert {number for number in MAY_PASS if is_locked(mysql.connector.Error("x", errno=number))} == LOCKED


def test_fault_02_the_data_generator_waits_for_the_same() -> None:
    assert sink._SERVER_AWAY | sink._TRY_AGAIN | LOCKED | {1206, 1180, 1598, 3101} >= MAY_PASS


@pytest.mark.parametrize(
    ("error", "who"), [(mysql.connector.Error("away", errno=2003), "MySQL"), (KafkaTimeoutError(), "Kafka")]
)
def test_fault_02_a_service_that_gives_up_says_so_in_one_line(
    error: Exception, who: str, caplog: pytest.LogCaptureFixture
) -> None:
    def give_up() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        ending_in_one_line(give_up, logging.getLogger("x"))
    assert ended.value.code == 1
    (record,) = caplog.records
    assert record.message.startswith(f"{who} refused or was away for too long")
    assert record.exc_info is None
