"""The connection's settings: the environment, options before it, the password never on the command line."""

from pathlib import Path

import pytest
from data_generator import Connection

ENVIRONMENT = {
    "DATA_GENERATOR_HOST": "db",
    "DATA_GENERATOR_PORT": "3307",
    "DATA_GENERATOR_USER": "someone",
    "DATA_GENERATOR_PASSWORD": "secret",
    "DATA_GENERATOR_DATABASE": "bank",
}


def test_settings_come_from_the_environment() -> None:
    connection = Connection.from_environment(ENVIRONMENT)
    assert connection == Connection("db", 3307, "someone", "secret", "bank")


def test_options_come_before_the_environment() -> None:
    connection = Connection.from_environment(ENVIRONMENT, host="other", port=1, user="me", database="mine")
    assert connection == Connection("other", 1, "me", "secret", "mine")


def test_empty_variables_count_as_not_set() -> None:
    assert Connection.from_environment({"DATA_GENERATOR_HOST": "", "DATA_GENERATOR_PORT": ""}) == Connection()


def test_the_password_can_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from file\n", encoding="utf-8")
    named = {**ENVIRONMENT, "DATA_GENERATOR_PASSWORD_FILE": str(file)}
    assert Connection.from_environment(named).password == "from file"
    assert Connection.from_environment(ENVIRONMENT, password_file=file).password == "from file"


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(Connection.from_environment(ENVIRONMENT))


@pytest.mark.parametrize(
    "wrong", [{"DATA_GENERATOR_PORT": "many"}, {"DATA_GENERATOR_PASSWORD_FILE": "/nowhere/at/all"}]
)
def test_a_wrong_setting_is_named(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="cannot tell where MySQL is"):
        Connection.from_environment(wrong)
