"""A class: its names, and the files, ports and secrets of its server."""

import json
import os
import re
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psutil

from fraudlab.classroom.access import SHORTEST, make_code, plain
from fraudlab.course.workspace import DEFAULT_LEARNER, GRADER
from fraudlab.errors import UserError
from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack.layout import Layout
from fraudlab.stack.secret_store import SecretStore, variable, write_private

NAME = re.compile(r"[a-z][a-z0-9]{0,15}")
"""What a learner's name may be: a prefix of names in MySQL and Kafka."""
ALLOWED = "A name begins with a letter and has at most 16 letters (a to z) and digits."
RESERVED = {DEFAULT_LEARNER: "labs without a class use", GRADER: "grading uses"}
"""Names that no learner may have, and what uses them."""
MOST_LEARNERS = 99

CODE, COOKIES, PROXY, INSTRUCTOR = "class_code", "class_cookies", "class_proxy", "class_instructor"
"""Secrets by name: the class code, the key of the log-ins' cookies, who may tell the proxy, and who may ask and tell the hub."""
PASSWORD, SESSIONS = "class_password", "class_sessions"
"""Of the instructor's page: what it asks for, and the key of its cookies."""
PAGE = "class_page"
"""What nobody else knows in the address of the instructor's page."""
ANY = ("", "0.0.0.0", "::")  # noqa: S104 - how a host is written that means every address


@dataclass(frozen=True)
class Room:
    """The class of one home."""

    settings: Settings

    @property
    def folder(self) -> Path:
        """What the class server keeps, but for the learners' work."""
        return Layout(self.settings.home).class_server

    @property
    def certificate(self) -> Path:
        return self.folder / "certificate.pem"

    @property
    def key(self) -> Path:
        return self.folder / "key.pem"

    @property
    def servers_log(self) -> Path:
        """What learners' JupyterLabs complain of."""
        return Layout(self.settings.home).logs / "class-learners.log"

    @property
    def work(self) -> Path:
        """The folder of the learners' folders."""
        return self.settings.class_work.expanduser().resolve()

    def learner(self, name: str) -> Settings:
        """The settings under which a learner works."""
        return self.settings.model_copy(update={"learner": name, "work": self.work / name})

    # Names

    @property
    def _list(self) -> Path:
        return self.folder / "names.json"

    def names(self) -> list[str]:
        """The names on the class list, in their order; none where there is no class."""
        if not self._list.exists():
            return []
        names: list[str] = json.loads(self._list.read_text(encoding="utf-8"))
        return names

    def add(self, names: Sequence[str]) -> list[str]:
        """Adds names to the list; gives those that were not on it."""
        known = self.names()
        new = [name for name in dict.fromkeys(names) if name not in known]
        if len(known) + len(new) > MOST_LEARNERS:
            raise UserError(
                f"That would be {len(known) + len(new)} learners, and a class has at most {MOST_LEARNERS}.",
                "Start a second class on another machine.",
            )
        write_private(self._list, json.dumps([*known, *new], indent=2) + "\n")
        return new

    # Secrets

    @cached_property
    def secrets(self) -> SecretStore:
        return SecretStore(Layout(self.settings.home).secrets)

    def code(self) -> str:
        """The class code. Raises UserError where the instructor has chosen one that is easy to guess."""
        code = self.secrets.secret(CODE, make_code)
        if len(plain(code)) < SHORTEST:
            raise UserError(
                f"The class code in {variable(CODE)} is easy to guess.",
                f"Choose at least {SHORTEST} letters and digits, or unset the variable: then a code is made.",
            )
        return code

    def given(self, secret: str) -> dict[str, str]:
        """A secret that the instructor has chosen, as an environment for the program that asks for it; empty without one."""
        name = variable(secret)
        return {name: os.environ[name]} if os.environ.get(name) else {}

    def page_password(self) -> str:
        """What the instructor's page asks for."""
        return self.secrets.secret(PASSWORD, make_code)

    # Addresses

    @property
    def hub_url(self) -> str:
        """The hub, as this machine reaches it."""
        return f"https://{LOOPBACK}:{self.settings.class_hub_port}"

    @property
    def proxy_url(self) -> str:
        """Where the hub tells the proxy which request leads where."""
        return f"https://{LOOPBACK}:{self.settings.class_proxy_port}"

    @property
    def page_name(self) -> str:
        """The instructor's page, as JupyterHub calls it. Browsers send a page's cookie to every port of its host, but only below its
        path: a program on another port doesn't know this one's."""
        return f"page-{self.secrets.secret(PAGE, lambda: secrets.token_hex(16))}"

    @property
    def page_path(self) -> str:
        """Where the class server has the instructor's page: JupyterHub gives what it calls a service this place."""
        return f"/services/{self.page_name}/"

    @property
    def page_url(self) -> str:
        """The instructor's page, as the proxy reaches it."""
        return f"https://{LOOPBACK}:{self.settings.class_page_port}"

    def hosts(self) -> list[str]:
        """The addresses of this machine at which learners reach the class server; this machine's own comes last."""
        if self.settings.class_host not in ANY:
            return [self.settings.class_host]
        cards = [one for card in psutil.net_if_addrs().values() for one in card if one.family == socket.AF_INET]
        found = dict.fromkeys([*_outward(), *(one.address for one in cards)])  # virtual networks come last
        return [*(one for one in found if one != LOOPBACK), LOOPBACK]

    def urls(self) -> list[str]:
        """What learners type into their browsers."""
        return [f"https://{f'[{host}]' if ':' in host else host}:{self.settings.class_port}/" for host in self.hosts()]


def _outward() -> list[str]:
    """The address with which this machine would ask others, if there is a way to them. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address of nobody's, for examples (RFC 5737)
        except OSError:
            return []
        return [str(probe.getsockname()[0])]


def spelled(name: str) -> str:
    """A name as the class list has it."""
    return name.strip().lower()


def numbered(count: int) -> list[str]:
    """Names for a class of strangers: `learner01`, `learner02` and so on."""
    return [f"learner{number:02}" for number in range(1, count + 1)]


def checked(name: str, where: str = "") -> str:
    """A name for the class list. Raises UserError where it can't be one; `where` says where it is written."""
    found = spelled(name)
    if not NAME.fullmatch(found):
        raise UserError(f"{where}{name.strip()!r} cannot be a learner's name.", ALLOWED)
    if user := RESERVED.get(found):
        raise UserError(f"{where}{found!r} cannot be a learner's name: {user} it.", "Choose another name.")
    return found


def read_names(file: Path) -> list[str]:
    """The names in a file, one a line; empty lines and what follows a `#` don't count. Raises UserError."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{file} cannot be read as a class list: {error}.", "It is a text file with one name a line."
        ) from error
    names: list[str] = []
    for number, line in enumerate(lines, 1):
        if not (text := line.partition("#")[0].strip()):
            continue
        name = checked(text, f"{file}, line {number}: ")
        if name in names:
            raise UserError(
                f"{file}, line {number}: {name} is there already.", "Give each learner a name of their own."
            )
        names.append(name)
    if not names:
        raise UserError(f"{file} has no names.", "Write one name a line.")
    return names
