"""Another user of this machine gets nothing from Flink: case sec-01."""

import contextlib
import os
import select
import socket
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path

import pytest

from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack import flink_keys, flink_page, ports
from fraudlab.stack.layout import Layout
from fraudlab.stack.secret_store import SecretStore
from tests.support.home import outside_pytest
from tests.support.lab import Lab
from tests.support.nobody import as_nobody, needs_root
from tests.support.waiting import patient

JAR = (
    b'--b\r\nContent-Disposition: form-data; name="jarfile"; filename="a.jar"\r\nContent-Type: application/x-java-archive\r\n\r\n'
    b"PK\r\n--b--\r\n"
)
UPLOAD = (
    b"POST /jars/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(JAR), JAR)
)
SUBMIT = b"POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
LOOK = b"GET /config HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
BLOB = b"\x01" + bytes(64)
"""The blob server's GET of a file."""
RPC = b"\x00\x00\x00\x04\x08\x01\x10\x01"
REFUSALS = (b"\x15", b"HTTP/1.1 301 Moved Permanently\r\nlocation: https://")
"""How an answer to plain bytes may begin: if there is one at all: with an alert of TLS, or with the word that TLS is asked for."""


def said(port: int, words: bytes) -> bytes:
    """What is answered to plain bytes, before the connection is closed or two seconds have passed."""
    answer = b""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
            connection.sendall(words)
            while piece := connection.recv(65536):
                answer += piece
    except OSError:
        pass
    return answer


def greeted(port: int, words: bytes, pem: Path | None) -> str:
    """How a connection by TLS ends: `alert` if the other end refuses it, otherwise what it says."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if pem is not None:
        context.load_cert_chain(pem)
    try:
        with socket.create_connection((LOOPBACK, port), timeout=5) as plain, context.wrap_socket(plain) as connection:
            connection.sendall(words)
            return connection.recv(65536).decode("latin-1") or "closed"
    except ssl.SSLError as error:
        return "alert" if "ALERT" in (error.reason or "") else f"{error.reason}"
    except OSError as error:
        return repr(error)


def processes(lab: Lab) -> dict[str, int]:
    known = lab.stack.processes()
    return {name: int(known[name]["pid"]) for name in ("jobmanager", "taskmanager")}


@pytest.fixture(scope="module")
def listening(lab: Lab) -> dict[int, str]:
    """Every port of Flink's two processes, and whose it is."""
    found = {port: name for name, pid in processes(lab).items() for port in ports.of_process(pid)}
    assert {lab.settings.flink_rest_port, lab.settings.flink_rpc_port} <= found.keys()
    assert len(found) >= 6, "REST, RPC and metrics, blobs; RPC and metrics, data"
    return found


@needs_root
@pytest.mark.parametrize("words", [UPLOAD, SUBMIT, LOOK, BLOB, RPC], ids=["upload", "submit", "look", "blob", "rpc"])
def test_sec_01_no_port_of_flink_answers_another_user(listening: dict[int, str], words: bytes) -> None:
    answers = as_nobody(lambda: {port: said(port, words).hex() for port in listening})
    for port, answer in answers.items():
        heard = bytes.fromhex(answer)
        assert not heard or heard.startswith(REFUSALS), f"port {port} of {listening[int(port)]}: {heard[:200]!r}"


@needs_root
@pytest.mark.parametrize("has_a_key", [False, True], ids=["no-key", "own-key"])
def test_sec_01_no_port_of_flink_takes_another_users_key(
    listening: dict[int, str], tmp_path: Path, *, has_a_key: bool
) -> None:
    other = Layout(tmp_path)
    flink_keys.make(other, SecretStore(other.secrets), renew=False)
    pem = Path(f"/tmp/fraudlab-{os.getpid()}.pem") if has_a_key else None  # noqa: S108 - where nobody can read it
    try:
        if pem is not None:
            pem.write_bytes(flink_keys.pem(other).read_bytes())
            pem.chmod(0o644)
        answers = as_nobody(lambda: {port: greeted(port, LOOK, pem) for port in listening})
    finally:
        if pem is not None:
            pem.unlink()
    assert {listening[int(port)] + " " + port: answer for port, answer in answers.items() if answer != "alert"} == {}


def test_sec_01_the_owner_is_let_in_by_the_right_key(lab: Lab, listening: dict[int, str]) -> None:
    pem = flink_keys.pem(Layout(lab.settings.home))
    answers = {port: greeted(port, LOOK, pem) for port in listening}
    assert "200 OK" in answers.pop(lab.settings.flink_rest_port)
    assert set(answers.values()) == {"alert"}, "the key of REST opens nothing internal"


def test_sec_01_no_jar_is_taken_even_from_the_owner(lab: Lab) -> None:
    pem = flink_keys.pem(Layout(lab.settings.home))
    assert "POST request not allowed" in greeted(lab.settings.flink_rest_port, UPLOAD, pem)


@needs_root
def test_sec_01_another_user_reads_no_key_and_no_password(lab: Lab) -> None:
    layout = Layout(lab.settings.home)
    secret = [*layout.flink_keys.iterdir(), layout.flink / "conf" / "config.yaml", layout.secrets]
    assert len(secret) >= 5

    def readable() -> list[str]:
        found = []
        for path in secret:
            try:
                path.read_bytes()
            except PermissionError:
                continue
            found.append(str(path))
        return found

    assert as_nobody(readable) == []
    modes = {str(path): oct(path.stat().st_mode & 0o777) for path in secret if path.stat().st_mode & 0o077}
    assert modes == {}, "also where the folders above are open"


def test_sec_01_no_process_list_and_no_log_has_a_password_or_the_token(lab: Lab) -> None:
    settings = lab.settings
    store = SecretStore(Layout(settings.home).secrets)
    secrets = [store.secret(flink_keys.SECRET), store.secret(flink_page.SECRET)]
    opened = flink_page.address(settings, store)
    assert secrets[1] in opened
    said(
        settings.flink_page_port,
        f"GET {opened.partition(str(settings.flink_page_port))[2]} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    )
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _is_there(path)]
    lines += [path.read_bytes() for path in Layout(settings.home).logs.glob("*.log*")]
    assert lines
    assert not [line[:80] for line in lines for secret in secrets if secret.encode() in line]


BUILDER = """
from fraudlab.settings import Settings
from fraudlab.system import flink_cluster
from pyflink.java_gateway import get_gateway
flink_cluster(Settings()).environment()
gateway = get_gateway()
print(gateway.gateway_parameters.port, gateway.get_callback_server().get_listening_port(), flush=True)
input()

class Called:
    def run(self):
        print("called back", flush=True)

    class Java:
        implements = ["java.lang.Runnable"]

thread = gateway.jvm.java.lang.Thread(Called())
thread.start()
thread.join()
"""


@needs_root
def test_sec_01_the_processes_that_build_jobs_do_not_do_what_another_user_says(settings: Settings) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BUILDER], env=outside_pytest(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as builder:
        assert builder.stdin is not None
        assert builder.stdout is not None
        in_java, in_python = map(int, builder.stdout.readline().split())
        answer = as_nobody(partial(_heard, in_java, b"c\nz:java.lang.System\ngetProperty\nsuser.name\ne\n"))
        assert "Authentication error" in answer
        answer = as_nobody(partial(_heard, in_python, b"c\np0\ngetPythonFunction\nsthis\nsm\ne\n"))
        assert "this" not in answer, "a module was imported"
        output, _ = builder.communicate("\n", timeout=patient(60))
    assert "called back" in output, "they go on calling each other"


WHO = b"c\nz:java.lang.System\ngetProperty\nsuser.name\ne\n"
LISTENS = "0A"


def listening_ports(user_id: int) -> set[int]:
    """The TCP ports on which a user's processes listen, as any user can see them."""
    tables = [Path(f"/proc/net/{name}").read_text(encoding="utf-8").splitlines()[1:] for name in ("tcp", "tcp6")]
    lines = [line.split() for line in chain.from_iterable(tables)]
    return {int(one[1].partition(":")[2], 16) for one in lines if one[3] == LISTENS and int(one[7]) == user_id}


def first_visits(owner: int, begun: int, end: int) -> dict[int, str]:
    """Connects to each new port of a user as soon as it is there, and says what is answered. Until `end`, a pipe, can be read."""
    known = listening_ports(owner)
    os.write(begun, b"x")
    visits: dict[int, socket.socket] = {}
    while not select.select([end], [], [], 0)[0]:
        for port in listening_ports(owner) - known - visits.keys():
            visits[port] = socket.socket()
            visits[port].settimeout(2)
            with contextlib.suppress(OSError):
                visits[port].connect((LOOPBACK, port))
    answers = {}
    for port, visit in visits.items():
        with contextlib.closing(visit), contextlib.suppress(OSError):
            visit.sendall(WHO)
            answers[port] = visit.recv(65536).decode("latin-1")
    return answers


@needs_root
def test_sec_01_who_comes_before_the_token_is_set_is_asked_for_it_too(settings: Settings) -> None:
    """Py4J never asks for a token on a connection that was made before there was one."""
    owner, (begin, begun), (end, ended) = os.getuid(), os.pipe(), os.pipe()
    with ThreadPoolExecutor(1) as pool:
        visited = pool.submit(as_nobody, lambda: first_visits(owner, begun, end))
        # not before: a fork in the middle of Popen would keep Popen's own pipe open
        assert select.select([begin], [], [], patient(10))[0], visited
        with subprocess.Popen(
            [sys.executable, "-c", BUILDER],
            env=outside_pytest(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as builder:
            assert builder.stdout is not None
            in_java, in_python = builder.stdout.readline().split()
            os.write(ended, b"x")
            answers = visited.result(patient(60))
            builder.communicate("\n", timeout=patient(60))
    for one in (begin, begun, end, ended):
        os.close(one)
    assert in_java in answers, "the visitor was there"
    assert "Authentication error" in answers[in_java]
    assert not answers.get(in_python, "").startswith("!y"), "what Py4J says when it has done what it was told"


def _heard(port: int, words: bytes) -> str:
    return said(port, words).decode()


def _is_there(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


@needs_root
def test_sec_01_the_page_shows_another_user_how_to_ask_and_nothing_else(settings: Settings) -> None:
    for words in (UPLOAD, SUBMIT, LOOK):
        answer = as_nobody(partial(_heard, settings.flink_page_port, words))
        assert answer.startswith("HTTP/1.1 401 "), answer[:300]
        assert "fraudlab open flink" in answer
