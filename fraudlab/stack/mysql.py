"""MySQL as a local process: with the row-based binlog that change data capture reads."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import mysql.connector

from fraudlab.errors import UserError
from fraudlab.mysql_session import Session
from fraudlab.same_origin import is_loopback
from fraudlab.settings import Settings
from fraudlab.stack import ports
from fraudlab.stack.layout import Layout, private_folder
from fraudlab.stack.program import Program, Service
from fraudlab.stack.secret_store import SecretStore, write_private
from fraudlab.stack.templating import option_file_text, write_config

NAME = "mysql"
OWN_SERVER_ADVICE = "Point it to the mysqld of MySQL 8.0, or unset it: then the set-up brings one."
SERVER_ID = 18306
"""The server's own id in replication; readers of the binlog take others."""


def service(settings: Settings, layout: Layout, secrets: SecretStore) -> Service:
    """The MySQL server. Its root account is reachable from this machine only, by socket and by TCP."""
    return Service(
        program=Program(
            name=NAME,
            command=[str(_mysqld(settings, layout)), f"--defaults-file={layout.mysql_config}"],
            environment=_environment(layout),
            directory=layout.home,
            stop_wait_s=20,
            priority=20,
        ),
        prepare=lambda: _prepare(settings, layout, secrets),
        problem=lambda: _problem(settings, secrets),
        ports={settings.mysql_port: "FRAUDLAB_MYSQL_PORT"},
    )


def authority(settings: Settings, layout: Layout) -> Path | None:
    """The certificate that signs the server's own, which it made with its data; None where the server is not this home's.

    Clients must ask for it: another user of this machine can take the port while MySQL is away, and would be told passwords.
    """
    made = layout.mysql_data / "ca.pem"
    return made if not settings.in_container and is_loopback(settings.mysql_host) and made.exists() else None


def proof(settings: Settings, layout: Layout) -> dict[str, Any]:
    """Options of `mysql.connector` with which a server must prove that it is this home's."""
    ca = authority(settings, layout)
    return {} if ca is None else {"ssl_ca": str(ca), "ssl_verify_cert": True}


def authority_for_java(settings: Settings, layout: Layout, password: str) -> str:
    """A file with `authority`, as Java reads it; empty where there is none."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

    ca = authority(settings, layout)
    if ca is None:
        return ""
    certificate = pkcs12.PKCS12Certificate(x509.load_pem_x509_certificate(ca.read_bytes()), b"mysql")
    packed = pkcs12.serialize_java_truststore([certificate], BestAvailableEncryption(password.encode()))
    write_private(layout.mysql_authority, packed)
    return str(layout.mysql_authority)


def connect_as_root(settings: Settings, secrets: SecretStore) -> Session:
    """A connection of the administrator. It and its statements raise mysql.connector.Error where the server does not answer within 3 s."""
    return Session(
        host=settings.mysql_host,
        port=settings.mysql_port,
        user="root",
        password=secrets.secret("mysql_root"),
        connection_timeout=3,
        read_timeout=3,
        **proof(settings, Layout(settings.home)),
    )


def require_usable(mysqld: Path) -> str:
    """The version of a `mysqld` of the user's own. Raises UserError if it is not one of MySQL 8.0."""
    try:
        said = subprocess.run(
            [mysqld, "--no-defaults", "--version"], capture_output=True, encoding="utf-8", check=False
        ).stdout
    except OSError as error:
        raise UserError(
            f"FRAUDLAB_MYSQLD is {mysqld}, which cannot be run: {error.strerror}.", OWN_SERVER_ADVICE
        ) from error
    version = re.search(r"Ver (\d+)\.(\d+)\.(\d+)", said)
    found = tuple(map(int, version.groups())) if version else ()
    if "MariaDB" in said or found[:2] != (8, 0):
        raise UserError(
            f"FRAUDLAB_MYSQLD is {mysqld}, which says: {said.strip() or 'nothing'}. Only MySQL 8.0 will do: the connector that reads "
            "the binlog asks SHOW MASTER STATUS, which MySQL 8.4 dropped, and MariaDB has another binlog.",
            OWN_SERVER_ADVICE,
        )
    return ".".join(map(str, found))


def _mysqld(settings: Settings, layout: Layout) -> Path:
    return settings.mysqld or layout.mysql_software / "bin" / "mysqld"


def _messages(settings: Settings, layout: Layout) -> Path:
    """The folder with the server's messages: distributions put it elsewhere than MySQL's own tarballs."""
    base = _mysqld(settings, layout).parent.parent
    return next((folder for folder in (base / "share" / "mysql", base / "share") if folder.exists()), base / "share")


def _environment(layout: Layout) -> dict[str, str]:
    return {"LD_LIBRARY_PATH": str(layout.libraries), "TZ": "UTC"}


def _prepare(settings: Settings, layout: Layout, secrets: SecretStore) -> None:
    if settings.mysqld is not None:
        require_usable(settings.mysqld)
    temporary = private_folder(layout.mysql_config.parent) / "tmp"
    temporary.mkdir(exist_ok=True)
    init_file = layout.mysql_config.parent / "root.sql"
    write_private(init_file, _root_account(secrets.secret("mysql_root")))
    write_config(
        layout.mysql_config,
        "my.cnf.conf",
        basedir=option_file_text(_mysqld(settings, layout).parent.parent),
        messages=option_file_text(_messages(settings, layout)),
        datadir=option_file_text(layout.mysql_data),
        tmpdir=option_file_text(temporary),
        pid_file=option_file_text(temporary / "mysqld.pid"),
        socket=option_file_text(layout.sockets / "mysql.sock"),
        init_file=option_file_text(init_file),
        user_line="user = root" if os.geteuid() == 0 else "",
        host=settings.mysql_host,
        port=settings.mysql_port,
        server_id=SERVER_ID,
    )
    if not layout.mysql_data.exists():
        _initialise(settings, layout)


def _root_account(password: str) -> str:
    """What the server does at each start before it accepts anyone: a new one's empty password is never usable."""
    return "\n".join(
        [
            "SET sql_log_bin = 0;",
            f"ALTER USER 'root'@'localhost' IDENTIFIED BY '{password}';",
            f"CREATE USER IF NOT EXISTS 'root'@'127.0.0.1' IDENTIFIED BY '{password}';",
            f"ALTER USER 'root'@'127.0.0.1' IDENTIFIED BY '{password}';",
            "GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;",
            "",
        ]
    )


def _initialise(settings: Settings, layout: Layout) -> None:
    """Make the data folder next to its place and move it there when whole: an interrupted run is just run again."""
    unfinished = layout.mysql_data.with_name("data.unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    command = [
        str(_mysqld(settings, layout)),
        "--no-defaults",
        "--initialize-insecure",
        f"--basedir={_mysqld(settings, layout).parent.parent}",
        f"--datadir={unfinished}",
        f"--lc-messages-dir={_messages(settings, layout)}",
        "--character-set-server=utf8mb4",
        "--skip-log-bin",
    ]
    if os.geteuid() == 0:
        command.append("--user=root")
    done = subprocess.run(
        command,
        env={**os.environ, **_environment(layout)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = "\n".join(done.stdout.splitlines()[-20:])
        raise UserError(
            f"MySQL could not create its data folder (exit status {done.returncode}). Its last words:\n{last}",
            "Run `fraudlab doctor`: a missing library or a full disk is named there. Then run the command again.",
        )
    unfinished.rename(layout.mysql_data)


def _problem(settings: Settings, secrets: SecretStore) -> str | None:
    if not ports.answers(settings.mysql_host, settings.mysql_port):
        return f"does not accept connections on port {settings.mysql_port} yet"
    try:
        connection = connect_as_root(settings, secrets)
        try:
            cursor = connection.cursor()
            cursor.execute("SELECT 1")
            cursor.fetchall()
        finally:
            connection.close()
    except mysql.connector.Error as error:
        return f"refuses a connection: {error}"
    return None
