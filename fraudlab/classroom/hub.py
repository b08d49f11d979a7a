"""JupyterHub's configuration: who logs in, and which JupyterLab a learner gets."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fraudlab.classroom import inside
from fraudlab.classroom.authenticator import ClassAuthenticator
from fraudlab.classroom.room import COOKIES, INSTRUCTOR, PROXY, Room
from fraudlab.course import commands
from fraudlab.course.labs import lab_of
from fraudlab.course.messages import OF_CLASS
from fraudlab.settings import Settings
from fraudlab.stack.supervisord import MARKER

FIRST_LAB = "00"
START_S = 120
"""How long a learner's JupyterLab may take to start: a whole class logs in at the same time."""
START_AGAIN_S = 3
"""So soon a page whose JupyterLab has ended starts it again, unless the learner leaves the page."""
ROUTES_EVERY_S = 5
"""So often the hub looks whether the proxy knows all routes: one that was restarted knows none."""
KEPT = ["JAVA_HOME", "LC_CTYPE", "PYTHONUTF8", "TMPDIR", "TZ"]
"""Variables of this machine that learners' programs need, too."""


def configure(config: Any, settings: Settings) -> None:
    """Sets everything in JupyterHub's configuration."""
    room = Room(settings)
    config.JupyterHub.bind_url = f"https://{settings.class_host}:{settings.class_port}"
    config.JupyterHub.hub_bind_url = room.hub_url
    config.JupyterHub.internal_ssl = True
    config.JupyterHub.internal_certs_location = str(inside.folder(room))
    config.JupyterHub.db_url = "sqlite:///hub.sqlite"  # in the folder in which the hub runs
    config.JupyterHub.cookie_secret = room.secrets.secret(COOKIES).encode()
    config.JupyterHub.template_paths = [str(Path(__file__).with_name("templates"))]

    # the proxy runs on its own, and so do JupyterLabs: learners go on while the hub is restarted
    config.JupyterHub.implicit_spawn_seconds = START_AGAIN_S
    config.JupyterHub.cleanup_servers = False
    config.JupyterHub.cleanup_proxy = False
    config.JupyterHub.last_activity_interval = ROUTES_EVERY_S
    config.ConfigurableHTTPProxy.should_start = False
    config.ConfigurableHTTPProxy.api_url = room.proxy_url
    config.ConfigurableHTTPProxy.auth_token = room.secrets.secret(PROXY)

    config.JupyterHub.authenticator_class = ClassAuthenticator
    config.Authenticator.allow_all = True  # ours lets in those on the list, which grows while the hub runs
    config.JupyterHub.services = [
        {"name": "instructor", "api_token": room.secrets.secret(INSTRUCTOR)},
        {
            "name": room.page_name,
            "url": room.page_url,
            "display": False,
        },  # it has a password of its own, and no use for the hub's
    ]
    config.JupyterHub.load_roles = [
        {
            "name": "instructor",
            "services": ["instructor"],
            "scopes": ["list:users", "read:users", "read:servers", "delete:servers"],
        }
    ]

    config.JupyterHub.spawner_class = "simple"  # it needs no user of the system for each learner
    config.SimpleLocalProcessSpawner.home_dir_template = f"{_literal(room.work)}/{{username}}"
    config.Spawner.cmd = [sys.executable, "-P", "-m", "jupyterhub.singleuser"]
    config.Spawner.args = [*commands.server_options(settings), *(["--allow-root"] if os.geteuid() == 0 else [])]
    config.Spawner.notebook_dir = f"{_literal(room.work)}/{{username}}"
    config.Spawner.default_url = f"/lab/tree/{quote(lab_of(FIRST_LAB).file)}"
    config.Spawner.environment = _environment(room)
    config.LocalProcessSpawner.env_keep = [*DEFAULT_KEPT, *KEPT]
    # not in the hub's log: it ends with the hub, and they go on
    config.LocalProcessSpawner.popen_kwargs = {"stdout": _opened(room.servers_log), "stderr": subprocess.STDOUT}
    config.Spawner.start_timeout = config.Spawner.http_timeout = START_S


DEFAULT_KEPT = ["LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH"]


def _opened(log: Path) -> int:
    """A log for appending, as a number: JupyterHub copies its configuration, and files can't be copied."""
    return os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _environment(room: Room) -> dict[str, str | Callable[[Any], str]]:
    """What a learner's JupyterLab, and so their kernels, have in their environment."""
    home = str(room.folder.parent)
    fixed = room.learner("").environment() | commands.kernel_environment() | commands.private_kernels(room.settings)
    fixed |= {MARKER: home, OF_CLASS: home, "JUPYTER_CONFIG_PATH": str(commands.LAB_CONFIG)}

    def own(name: str) -> Callable[[Any], str]:
        return lambda spawner: room.learner(spawner.user.name).environment((name,))[f"FRAUDLAB_{name.upper()}"]

    def jupyter(spawner: Any) -> str:
        return str(commands.user_settings(room.learner(spawner.user.name).work))

    return {
        **fixed,
        "FRAUDLAB_LEARNER": own("learner"),
        "FRAUDLAB_WORK": own("work"),
        "JUPYTERLAB_SETTINGS_DIR": jupyter,
    }


def _literal(path: Path) -> str:
    """A path in a template in which braces have a meaning."""
    return str(path).replace("{", "{{").replace("}", "}}")
