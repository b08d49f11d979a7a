"""Where everything lies that is made at run time."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fraudlab.errors import UserError

MAX_SOCKET_PATH = 103
"""Bytes that the path of a UNIX socket may have (macOS; Linux 107)."""
SOCKET_NAME = 28
"""Bytes that the names of our own programs' sockets need, with a slash and suffixes."""


def private_folder(path: Path) -> Path:
    """Create a folder that only its owner can enter, whatever the umask; one that is there already becomes private."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)
    return path


@dataclass(frozen=True)
class Layout:
    """The folders under `home`, the folder of all that is made at run time. Nothing is created here."""

    home: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "home", self.home.expanduser().resolve())

    @property
    def jars(self) -> Path:
        """The jars of `requirements/jars.lock`: folders `kafka`, `flink` and `mysql`."""
        return self.home / "jars"

    @property
    def libraries(self) -> Path:
        """Shared libraries that the system lacks, or has under another name."""
        return self.home / "lib"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def secrets(self) -> Path:
        """The file of passwords. Where there is a folder `secrets`, as in our image, it lies in that: a volume can cover it."""
        folder = self.home / "secrets"
        return (folder if folder.is_dir() else self.home) / "secrets.json"

    @property
    def mysql_software(self) -> Path:
        return self.home / "mysql" / "server"

    @property
    def mysql_config(self) -> Path:
        return self.home / "mysql" / "my.cnf"

    @property
    def mysql_data(self) -> Path:
        return self.home / "mysql" / "data"

    @property
    def mysql_authority(self) -> Path:
        """The certificate by which MySQL proves itself, as Java reads it."""
        return self.home / "mysql" / "authority.p12"

    @property
    def kafka(self) -> Path:
        return self.home / "kafka"

    @property
    def kafka_data(self) -> Path:
        return self.kafka / "data"

    def kafka_accounts(self, learner: str) -> Path:
        """Fingerprints of the passwords that Kafka knows of a learner's accounts, or of those without a learner's name."""
        return self.secrets.parent / f"kafka-accounts{'-' if learner else ''}{learner}.json"

    @property
    def kafka_kept(self) -> Path:
        """The copy of Kafka's metadata, beside its data, and what was set aside when it was damaged."""
        return self.kafka / "kept"

    @property
    def kafka_metadata_copy(self) -> Path:
        """The copy of the metadata log, made before each start."""
        return self.kafka_kept / "metadata"

    @property
    def zookeeper(self) -> Path:
        return self.home / "zookeeper"

    @property
    def zookeeper_data(self) -> Path:
        return self.zookeeper / "data"

    @property
    def flink(self) -> Path:
        """FLINK_HOME of the local cluster and its clients."""
        return self.home / "flink"

    @property
    def flink_state(self) -> Path:
        """Checkpoints, savepoints and what high availability stores."""
        return self.flink / "state"

    @property
    def flink_keys(self) -> Path:
        """The keys of Flink's TLS; a folder of their own, so that a volume can cover it."""
        return self.home / "flink-keys"

    @property
    def class_archives(self) -> Path:
        """What JVMs share of their classes with the next ones of their kind."""
        return self.home / "classes"

    @property
    def inbox(self) -> Path:
        """What the inbox has received."""
        return self.home / "inbox"

    @property
    def dashboard(self) -> Path:
        """What browsers have chosen on the dashboard: theme, and who is logged in."""
        return self.home / "dashboard"

    @property
    def class_server(self) -> Path:
        """What the class server keeps: the class list, its certificate, who is logged in. Learners' work is elsewhere."""
        return self.home / "class"

    @property
    def supervisor(self) -> Path:
        return self.home / "supervisor"

    @property
    def restarts(self) -> Path:
        """What the watcher did recently, as JSON."""
        return self.supervisor / "restarts.json"

    @property
    def sockets(self) -> Path:
        """The folder of our own programs' UNIX sockets."""
        return self.sockets_of(SOCKET_NAME)

    def sockets_of(self, longest: int) -> Path:
        """The folder of UNIX sockets whose names are that long: in `home` where its path is short enough, else in the temporary folder."""
        inside = self.home / "run"
        if len(os.fsencode(inside)) + longest <= MAX_SOCKET_PATH:
            return inside
        name = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"fraudlab-{os.getuid()}-{name}"

    def make_sockets_folder(self, longest: int = SOCKET_NAME) -> Path:
        """Create the folder of sockets whose names are that long, for nobody but its owner.

        Raises UserError where the folder belongs to somebody else.
        """
        folder = self.sockets_of(longest)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            raise UserError(
                f"{folder} belongs to somebody else, so the services' sockets would not be private.",
                "Remove it, or choose a shorter path for FRAUDLAB_HOME.",
            )
        folder.chmod(0o700)
        return folder
