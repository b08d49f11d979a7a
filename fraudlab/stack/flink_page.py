"""Flink's web page: a guard in front of Flink's REST API, which lets a browser look at jobs and cancel them, and do nothing else."""

import sys

from fraudlab.settings import Settings
from fraudlab.stack import ports
from fraudlab.stack.program import Program, Service
from fraudlab.stack.secret_store import SecretStore

NAME = "flink-page"
SECRET = "flink_page_token"  # noqa: S105 - the name of the token
TOKEN = "token"  # noqa: S105
"""The parameter of the address with which a browser comes for the first time."""


def service(settings: Settings) -> Service:
    """The guard, as a service of the stack."""
    needs = ("home", "in_container", "flink_host", "flink_rest_port", "flink_page_host", "flink_page_port")
    return Service(
        program=Program(
            name=NAME,
            command=[sys.executable, "-m", "fraudlab.stack.flink_guard"],
            environment={"PYTHONUNBUFFERED": "1", **settings.environment(needs)},
            priority=50,
        ),
        prepare=lambda: None,
        problem=lambda: ports.page_problem(settings.flink_page_host, settings.flink_page_port),
        ports={settings.flink_page_port: "FRAUDLAB_FLINK_PAGE_PORT"},
    )


def address(settings: Settings, secrets: SecretStore) -> str:
    """The address that opens the page in a browser for the first time. It holds the token: not for logs or process lists."""
    return f"{settings.flink_page}/?{TOKEN}={secrets.secret(SECRET)}"
