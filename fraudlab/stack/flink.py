"""Flink as a local session cluster: a JobManager with high availability, and a TaskManager."""

import os
import re
import ssl
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from fraudlab.clients import waiting
from fraudlab.clients.flink_rest import TIMEOUT_S, FlinkRest, NoAnswer
from fraudlab.settings import Settings
from fraudlab.stack import flink_keys, java, ports, shell, zookeeper
from fraudlab.stack.class_sharing import SharedClasses
from fraudlab.stack.layout import Layout, private_folder
from fraudlab.stack.program import Program, Service
from fraudlab.stack.secret_store import SecretStore
from fraudlab.stack.templating import write_config, yaml_text

JOBMANAGER, TASKMANAGER = "jobmanager", "taskmanager"
NEEDS = {JOBMANAGER: (zookeeper.NAME,), TASKMANAGER: (JOBMANAGER,)}
"""What must be ready before they start: they give up after a while."""

JOBMANAGER_HEAP_MIB, JOBMANAGER_HEAP_PER_SLOT_MIB = 320, 4
JOBMANAGER_METASPACE_MIB = 160

ANSWER_DEADLINE_S = 60
"""How long a question to Flink that must be answered is repeated."""

T = TypeVar("T")

TASKMANAGER_SESSION = "-Dhigh-availability.zookeeper.client.session-timeout=30 s"
"""A TaskManager that was paused for seconds continues where it was: its own heartbeats, not ZooKeeper, decide whether it is lost.

It only asks ZooKeeper for the leader. The JobManager's session is short, because a successor waits until it has expired."""

LATE_OPTIMISATION = (
    "-XX:Tier4InvocationThreshold=20000",
    "-XX:Tier4MinInvocationThreshold=2400",
    "-XX:Tier4CompileThreshold=60000",
    "-XX:Tier4BackEdgeThreshold=160000",
)
"""Four times the defaults. With those a quarter of the processors' time at the start went into optimising code that only the start needs;
what payments run through gets there within seconds all the same."""


@dataclass(frozen=True)
class TaskManagerMemory:
    """The parts of the TaskManager's memory, in MiB. State lies on the task heap, so Flink manages little memory.

    These are for USUAL_SLOTS.
    """

    framework_heap: int = 128
    task_heap: int = 512
    framework_off_heap: int = 128
    task_off_heap: int = 64
    network: int = 64
    managed: int = 96
    metaspace: int = 192
    overhead: int = 192

    @property
    def jvm_options(self) -> list[str]:
        """The JVM's own limits that follow from the parts, as Flink's start scripts compute them."""
        heap = self.framework_heap + self.task_heap
        direct = self.framework_off_heap + self.task_off_heap + self.network
        return [
            f"-Xms{heap}m",
            f"-Xmx{heap}m",
            f"-XX:MaxDirectMemorySize={direct}m",
            f"-XX:MaxMetaspaceSize={self.metaspace}m",
        ]


USUAL_SLOTS = 12
"""So many task slots the memory of one pipeline is enough for."""


def memory_of(slots: int) -> TaskManagerMemory:
    """What a TaskManager with so many slots gets: each slot beyond USUAL_SLOTS has a share of its own.

    The fetchers of Kafka's sources keep up to 2 MiB of direct memory a thread: with that of one pipeline, the jobs of eight learners
    failed for want of it, over and over.
    """
    usual, more = TaskManagerMemory(), max(0, slots - USUAL_SLOTS)
    return replace(
        usual,
        task_heap=usual.task_heap + 24 * more,
        task_off_heap=usual.task_off_heap + 16 * more,
        network=usual.network + 2 * more,
        metaspace=usual.metaspace + 2 * more,
    )


def _jobmanager_heap_mib(settings: Settings) -> int:
    more = max(0, settings.task_slots * settings.taskmanagers - USUAL_SLOTS)
    return JOBMANAGER_HEAP_MIB + JOBMANAGER_HEAP_PER_SLOT_MIB * more


def jobmanager(settings: Settings, layout: Layout) -> Service:
    """Flink's JobManager, which coordinates the jobs and serves the web page."""
    classes = _classes(settings, layout, JOBMANAGER)
    return Service(
        program=Program(
            name=JOBMANAGER,
            command=[
                *_java(
                    layout,
                    JOBMANAGER,
                    f"-Xmx{_jobmanager_heap_mib(settings)}m",
                    f"-XX:MaxMetaspaceSize={JOBMANAGER_METASPACE_MIB}m",
                    *java.QUICK,
                    zookeeper.client_option(layout),
                    *classes.options,
                ),
                "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
                f"--configDir={layout.flink / 'conf'}",
                "--executionMode=cluster",
            ],
            environment=process_environment(layout),
            directory=layout.flink,
            stop_wait_s=classes.stop_wait_s(10),
            priority=40,
        ),
        prepare=classes.prepare,
        problem=lambda: _jobmanager_problem(settings),
        ports={
            settings.flink_rest_port: "FRAUDLAB_FLINK_REST_PORT",
            settings.flink_rpc_port: "FRAUDLAB_FLINK_RPC_PORT",
        },
    )


def taskmanagers(settings: Settings, layout: Layout) -> list[Service]:
    """Flink's TaskManagers, which do the jobs' work; Python code runs inside their processes (thread mode)."""
    names = [TASKMANAGER, *(f"{TASKMANAGER}-{number}" for number in range(2, settings.taskmanagers + 1))]
    return [_taskmanager(settings, layout, name) for name in names]


def _taskmanager(settings: Settings, layout: Layout, name: str) -> Service:
    classes = _classes(settings, layout, name)
    return Service(
        program=Program(
            name=name,
            command=[
                *_java(
                    layout,
                    name,
                    *memory_of(settings.task_slots).jvm_options,
                    "-XX:+UseG1GC",
                    *LATE_OPTIMISATION,
                    zookeeper.client_option(layout),
                    *classes.options,
                ),
                "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
                f"--configDir={layout.flink / 'conf'}",
                TASKMANAGER_SESSION,
            ],
            environment=process_environment(layout),
            directory=layout.flink,
            stop_wait_s=classes.stop_wait_s(10),
            priority=40,
        ),
        prepare=classes.prepare,
        problem=lambda: _taskmanager_problem(settings),
        ports={},
    )


def client_environment(layout: Layout) -> dict[str, str]:
    """What a process needs in its environment so that PyFlink and `flink` talk to the local cluster."""
    return {
        "FLINK_HOME": str(layout.flink),
        "FLINK_CONF_DIR": str(layout.flink / "conf"),
        # a plain path would be taken for a URI, in which `%20` is a space
        "LOG4J_PROPERTIES": (layout.flink / "conf" / "log4j-cli.properties").as_uri(),
        "FLINK_IDENT_STRING": "fraudlab",  # else the name of the user, which not every user of a container has
        "JVM_ARGS": " ".join(java.QUICK),  # of the JVM in which PyFlink builds jobs
        **shell.repairs(layout.home),  # a notebook's kernel may have been started by anything
    }


def write_configuration(settings: Settings, layout: Layout, secrets: SecretStore, *, renew: bool = False) -> None:
    """Write Flink's `config.yaml` and log settings, for cluster and clients, and the keys that are missing (`flink_keys.make`)."""
    flink_keys.make(layout, secrets, renew=renew)
    zookeeper.write_client_login(layout, secrets)
    conf = layout.flink / "conf"
    temporary = layout.flink / "tmp"
    private_folder(temporary)
    for folder in ("ha", "checkpoints", "savepoints"):
        (private_folder(layout.flink_state) / folder).mkdir(exist_ok=True)
    write_config(conf / "log4j-console.properties", "flink-log4j.properties")
    write_config(
        conf / "config.yaml",
        "flink-config.yaml",
        jobmanager_host=settings.flink_host,
        jobmanager_bind=settings.bind_address(settings.flink_host),
        taskmanager_host=settings.taskmanager_host,
        taskmanager_bind=settings.bind_address(settings.taskmanager_host),
        zookeeper_host=settings.zookeeper_host,
        rpc_port=settings.flink_rpc_port,
        rest_port=settings.flink_rest_port,
        zookeeper_port=settings.zookeeper_port,
        task_slots=settings.task_slots,
        checkpoint_interval_s=settings.checkpoint_interval_s,
        jobmanager_heap_mib=_jobmanager_heap_mib(settings),
        jobmanager_metaspace_mib=JOBMANAGER_METASPACE_MIB,
        **{f"{part}_mib": mib for part, mib in asdict(memory_of(settings.task_slots)).items()},
        # Flink takes `%20` for a part of the name
        **{name: yaml_text(f"file://{layout.flink_state}/{name}") for name in ("ha", "checkpoints", "savepoints")},
        tmp=yaml_text(temporary),
        logs=yaml_text(layout.logs),
        rest_store=yaml_text(flink_keys.store(layout, flink_keys.REST)),
        # Seen from where both processes run: Flink puts it into the configuration of Pekko as it is, where a quote ends a string.
        internal_store=yaml_text(os.path.relpath(flink_keys.store(layout, flink_keys.INTERNAL), layout.flink)),
        keys_password=yaml_text(secrets.secret(flink_keys.SECRET)),
        python=yaml_text(sys.executable),
        java_home=yaml_text(java.find().home),
        java_opts=" ".join(shipped_java_options(distribution())),
    )


def distribution() -> Path:
    """The Flink distribution inside the Python package apache-flink, without importing it (that takes a second)."""
    from importlib.util import find_spec

    spec = find_spec("pyflink")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("pyflink is not installed in this Python: run `make setup`")
    return Path(spec.origin).parent


def shipped_java_options(flink: Path) -> list[str]:
    """The --add-opens and --add-exports that this Flink needs on Java 17, from the configuration that ships with it."""
    return re.findall(r"--add-(?:opens|exports)=\S+", (flink / "conf" / "config.yaml").read_text(encoding="utf-8"))


def _classes(settings: Settings, layout: Layout, name: str) -> SharedClasses:
    return SharedClasses(layout.class_archives, name, class_path(layout), enabled=settings.shares_classes)


def class_path(layout: Layout) -> str:
    """All jars of the local Flink."""
    return java.class_path(layout.flink / "lib", "*")


def _java(layout: Layout, name: str, *options: str) -> list[str]:
    return [
        str(java.find().executable),
        *options,
        "-XX:+ExitOnOutOfMemoryError",
        *shipped_java_options(distribution()),
        f"-Dlog.file={layout.logs / name}.log",  # where the web page reads the log that the supervisor writes
        f"-Dlog4j.configurationFile={(layout.flink / 'conf' / 'log4j-console.properties').as_uri()}",
        "-cp",
        class_path(layout),
    ]


def process_environment(layout: Layout) -> dict[str, str]:
    """The environment of Flink's processes, in which the TaskManager starts Python."""
    return {
        "FLINK_HOME": str(layout.flink),
        "FLINK_CONF_DIR": str(layout.flink / "conf"),
        "FLINK_LIB_DIR": str(layout.flink / "lib"),
        "FLINK_PLUGINS_DIR": str(layout.flink / "plugins"),
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        # PyFlink writes each path of this into Python source, where a quote ends a string. Our packages are among the others.
        "PYTHONPATH": "",
        "MALLOC_ARENA_MAX": "2",
        "TZ": "UTC",
    }


def rest(settings: Settings, timeout_s: float = TIMEOUT_S) -> FlinkRest:
    """The local cluster's REST API, as the holder of the key that it asks for. Raises NoAnswer where there is no key yet."""
    try:
        return FlinkRest(settings.flink_url, rest_context(settings), timeout_s)
    except OSError as error:
        raise NoAnswer(str(error)) from error


def rest_context(settings: Settings) -> ssl.SSLContext:
    """The TLS of a connection to Flink's REST API. Raises OSError where there is no key yet."""
    pem = flink_keys.pem(Layout(settings.home))
    return _context(pem, pem.stat().st_mtime_ns)


def answered(ask: Callable[[], T], deadline_s: float = ANSWER_DEADLINE_S) -> T:
    """What `ask` gives as soon as Flink answers it: a JobManager that is busy, or was just started again, takes its time.

    Raises NoAnswer when the deadline has passed.
    """
    return waiting.answered(ask, NoAnswer, deadline_s)


@lru_cache(maxsize=4)
def _context(pem: Path, mtime_ns: int) -> ssl.SSLContext:
    """Trusts one certificate and shows the same; `mtime_ns` tells a key that was made again from the old one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # only Flink has the key of that certificate, whatever its address
    context.load_verify_locations(pem)
    context.load_cert_chain(pem)
    return context


def _jobmanager_problem(settings: Settings) -> str | None:
    try:
        rest(settings).get("/overview")
    except NoAnswer as error:
        return f"its REST API on port {settings.flink_rest_port} does not answer yet ({error})"
    return None if settings.in_container else _zookeeper_problem(settings)


def _zookeeper_problem(settings: Settings) -> str | None:
    """A JobManager whose log-in ZooKeeper has refused never tries again, and goes on as if it still were the leader.

    So does one that met another program at ZooKeeper's port. It answers, but its jobs complete no checkpoint.
    """
    pid = ports.holder(settings.flink_rest_port).pid
    if pid is None or ports.is_connected(pid, settings.zookeeper_port):
        return None
    return "has no connection to ZooKeeper, without which jobs complete no checkpoint"


def _taskmanager_problem(settings: Settings) -> str | None:
    try:
        registered = rest(settings).get("/taskmanagers")["taskmanagers"]
    except NoAnswer as error:
        return f"the JobManager cannot be asked for it yet ({error})"
    # one that was killed is listed until its heartbeats time out
    alive = sum(ports.answers(settings.taskmanager_host, one["dataPort"]) for one in registered)
    if alive >= settings.taskmanagers:
        return None
    return f"{alive} of {settings.taskmanagers} TaskManagers have registered with the JobManager yet"
