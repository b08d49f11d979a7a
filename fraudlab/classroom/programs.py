"""The hub, the proxy and the instructor's page as the stack's supervisor runs them, and the hub as the instructor asks it."""

import socket
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx

from fraudlab.classroom import certificate, inside
from fraudlab.classroom.room import ANY, CODE, INSTRUCTOR, MOST_LEARNERS, PASSWORD, Room
from fraudlab.clients import waiting
from fraudlab.course.breaking import CLASS_HUB, CLASS_PAGE, CLASS_PROXY
from fraudlab.errors import UserError
from fraudlab.settings import LOOPBACK
from fraudlab.stack.program import Program

CONFIG = Path(__file__).with_name("jupyterhub_config.py")
HUB_DEADLINE_S = 60
LOOK_S, ANSWER_S = 3, 30
"""How long the hub may take to say that it is there, and to do something while a class keeps it busy."""


def of_class(room: Room) -> list[Program]:
    """All of them, in the order of their start: the hub tells the proxy what it knows."""
    return [proxy(room), hub(room), page(room)]


def proxy(room: Room) -> Program:
    """The proxy. It is another program when the certificate is another one, so that it is started again."""
    return Program(
        name=CLASS_PROXY,
        command=[sys.executable, "-P", "-m", "fraudlab.classroom.proxy"],
        environment={**_environment(room), "FRAUDLAB_CLASS_CERTIFICATE": certificate.fingerprint(room)},
        directory=room.folder,
        ports={
            room.settings.class_port: "FRAUDLAB_CLASS_PORT",
            room.settings.class_proxy_port: "FRAUDLAB_CLASS_PROXY_PORT",
        },
        problem=lambda: _proxy_problem(room),
    )


def hub(room: Room) -> Program:
    """JupyterHub."""
    return Program(
        name=CLASS_HUB,
        command=[sys.executable, "-P", "-m", "jupyterhub", "--config", str(CONFIG)],
        environment=_environment(room) | room.given(CODE),
        directory=room.folder,
        ports={room.settings.class_hub_port: "FRAUDLAB_CLASS_HUB_PORT"},
        problem=lambda: Hub(room).problem(),
    )


def page(room: Room) -> Program:
    """The instructor's page."""
    port = room.settings.class_page_port
    return Program(
        name=CLASS_PAGE,
        command=[sys.executable, "-P", "-m", "fraudlab.classroom.page"],
        environment=_environment(room) | room.given(PASSWORD),
        directory=room.folder,
        ports={port: "FRAUDLAB_CLASS_PAGE_PORT"},
        problem=lambda: _page_problem(room),
    )


def _environment(room: Room) -> dict[str, str]:
    """With other keys they are other programs, so that they are started again."""
    return {**room.settings.environment(), "FRAUDLAB_CLASS_KEYS": inside.fingerprint(room)}


def _page_problem(room: Room) -> str | None:
    """None where it is reached at the class's address: the hub tells the proxy of it some seconds after its own start."""
    url = f"https://{_host(room)}:{room.settings.class_port}{room.page_path}login"
    try:
        httpx.get(url, verify=False, timeout=LOOK_S).raise_for_status()  # noqa: S501 - it says nothing that is secret
    except httpx.HTTPStatusError as error:  # its words have the address, which is for the instructor's eyes
        return f"cannot be reached at the class's address yet (HTTP status {error.response.status_code})"
    except httpx.HTTPError as error:
        return f"cannot be reached at the class's address yet ({error})"
    return None


def _host(room: Room) -> str:
    """Where this machine reaches the proxy."""
    return LOOPBACK if room.settings.class_host in ANY else room.settings.class_host


def _proxy_problem(room: Room) -> str | None:
    """None where it speaks TLS with the certificate of the class."""
    host, port = _host(room), room.settings.class_port
    untrusting = ssl.create_default_context()
    untrusting.check_hostname, untrusting.verify_mode = False, ssl.CERT_NONE  # it is compared below
    try:
        with socket.create_connection((host, port), timeout=3) as plain, untrusting.wrap_socket(plain) as encrypted:
            shown = encrypted.getpeercert(binary_form=True) or b""
    except OSError as error:
        return f"its port {port} does not answer yet ({error})"
    ours = certificate.fingerprint(room) == sha256(shown).digest().hex(":").upper()
    return None if ours else f"its port {port} answers with another certificate"


@dataclass(frozen=True, slots=True)
class Seat:
    """A learner as the hub sees them: whether their JupyterLab runs."""

    name: str
    runs: bool = False


class Hub:
    """The running JupyterHub, as the instructor: who is there, and stopping a learner's JupyterLab."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def problem(self) -> str | None:
        """None where it answers."""
        try:
            self._ask("GET", "/", LOOK_S)
        except (httpx.HTTPError, OSError) as error:
            return f"JupyterHub on port {self._room.settings.class_hub_port} does not answer yet ({error})"
        return None

    def seats(self, names: Sequence[str]) -> list[Seat]:
        """How each of these learners is. Raises UserError where the hub does not answer."""
        known = {one["name"]: one for one in self._answer("GET", f"/users?limit={MOST_LEARNERS}").json()}
        return [Seat(name, name in known and bool(known[name]["servers"])) for name in names]

    def stop(self, name: str) -> None:
        """Ends a learner's JupyterLab with its kernels, and waits until it has ended; harmless where none runs."""
        (seat,) = self.seats([name])
        if not seat.runs:
            return
        self._answer("DELETE", f"/users/{name}/server")
        if not waiting.until(lambda: not self.seats([name])[0].runs, HUB_DEADLINE_S):
            raise UserError(
                f"{name}'s JupyterLab did not end within {HUB_DEADLINE_S} s.", "`fraudlab logs class-hub` says why."
            )

    def _answer(self, method: str, path: str) -> httpx.Response:
        try:
            return self._ask(method, path, ANSWER_S)
        except (httpx.HTTPError, OSError) as error:
            raise UserError(
                f"The class server's hub did not answer: {error}",
                "`fraudlab class up` starts it; `fraudlab logs class-hub` shows its log.",
            ) from error

    def _ask(self, method: str, path: str, patience_s: float) -> httpx.Response:
        token = self._room.secrets.secret(INSTRUCTOR)
        url = f"{self._room.hub_url}/hub/api{path}"
        return httpx.request(
            method,
            url,
            headers={"Authorization": f"token {token}"},
            timeout=patience_s,
            verify=inside.as_hub(self._room),
            trust_env=False,
        ).raise_for_status()
