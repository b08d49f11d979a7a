"""`FRAUDLAB_MYSQLD`: which servers are accepted, and where their messages are."""

from pathlib import Path

import pytest

from fraudlab.errors import UserError
from fraudlab.settings import Settings
from fraudlab.stack import mysql
from fraudlab.stack.layout import Layout


def server(folder: Path, says: str) -> Path:
    """A program that says which version it is, as mysqld does."""
    program = folder / "sbin" / "mysqld"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{says}'\n", encoding="utf-8")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    "says",
    [
        "/usr/sbin/mysqld  Ver 8.0.36-0ubuntu0.22.04.1 for Linux on x86_64 ((Ubuntu))",
        "/usr/libexec/mysqld  Ver 8.0.15 for Linux on x86_64 (MySQL Community Server - GPL)",
    ],
)
def test_mysql_8_0_is_accepted(tmp_path: Path, says: str) -> None:
    assert mysql.require_usable(server(tmp_path, says)).startswith("8.0.")


@pytest.mark.parametrize(
    "says",
    [
        "mysqld  Ver 8.4.3 for Linux on x86_64 (MySQL Community Server - GPL)",
        "mysqld  Ver 9.1.0 for Linux on x86_64 (MySQL Community Server - GPL)",
        "mysqld  Ver 5.7.44 for Linux on x86_64 (MySQL Community Server (GPL))",
        "mysqld  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)",
        "",
    ],
)
def test_another_server_is_refused_with_the_reason(tmp_path: Path, says: str) -> None:
    with pytest.raises(UserError, match=r"Only MySQL 8\.0 will do.*SHOW MASTER STATUS") as refusal:
        mysql.require_usable(server(tmp_path, says))
    assert says in str(refusal.value)


def test_what_cannot_be_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="which cannot be run: No such file or directory"):
        mysql.require_usable(tmp_path / "mysqld")


@pytest.mark.parametrize("place", ["share/mysql", "share"])
def test_the_servers_messages_are_found_in_a_distribution_and_in_a_tarball(tmp_path: Path, place: str) -> None:
    program = server(tmp_path, "")
    (tmp_path / place).mkdir(parents=True)
    settings = Settings(home=tmp_path / "home", mysqld=program)
    assert mysql._messages(settings, Layout(settings.home)) == tmp_path / place
