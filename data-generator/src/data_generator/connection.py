"""How to reach MySQL: from the environment; options override it, except for the password."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Connection:
    """Address, account and database. `deadline_s`: how long a MySQL that does not answer is waited for.

    `ca`: PEM file with the certificate that must have signed the server's own; without it, any server is told the password.
    """

    host: str = "127.0.0.1"
    port: int = 3306
    user: str = "generator"
    password: str = field(default="", repr=False)
    database: str = "payment"
    deadline_s: float = 120.0
    ca: Path | None = None

    @classmethod
    def from_environment(
        cls,
        environment: Mapping[str, str] = os.environ,
        *,
        host: str | None = None,
        port: int | None = None,
        user: str | None = None,
        database: str | None = None,
        password_file: Path | None = None,
        deadline_s: float = 120.0,
    ) -> "Connection":
        """From `DATA_GENERATOR_HOST`, `_PORT`, `_USER`, `_PASSWORD` (or `_PASSWORD_FILE`), `_DATABASE` and `_CA`.

        Arguments come before the environment.

        Raises:
            ValueError: the port is not a number, or the password file cannot be read.
        """
        given = {name: environment.get(f"DATA_GENERATOR_{name.upper()}") or None for name in cls.__slots__}
        try:
            return cls(
                host=host or given["host"] or cls().host,
                port=port or int(given["port"] or cls().port),
                user=user or given["user"] or cls().user,
                password=_password(environment, password_file),
                database=database or given["database"] or cls().database,
                deadline_s=deadline_s,
                ca=Path(given["ca"]) if given["ca"] else None,
            )
        except ValueError as error:
            raise ValueError(f"cannot tell where MySQL is: {error}; check the variables DATA_GENERATOR_*") from error


def _password(environment: Mapping[str, str], password_file: Path | None) -> str:
    named = environment.get("DATA_GENERATOR_PASSWORD_FILE")
    path = password_file or (Path(named) if named else None)
    if path is None:
        return environment.get("DATA_GENERATOR_PASSWORD", "")
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"the password file {path} cannot be read ({error.strerror})") from error
