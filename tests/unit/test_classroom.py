"""The class server without a stack: names, class code, log-in, certificate, the proxy."""

import asyncio
import os
import re
import shutil
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketClientConnection, WebSocketHandler, websocket_connect
from traitlets.config import Config

from fraudlab.classroom import access, bodies, certificate, commands, hub, inside, proxy
from fraudlab.classroom.access import WRONG_OF_A_NAME, WRONG_OF_AN_ADDRESS, is_code, make_code
from fraudlab.classroom.authenticator import ClassAuthenticator
from fraudlab.classroom.room import CODE, Room, checked, numbered, read_names
from fraudlab.course.commands import KERNEL_SOCKET
from fraudlab.errors import UserError
from fraudlab.services import wrong_tries
from fraudlab.services.wrong_tries import WrongTries
from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack.certificates import VALID_FOR, as_pem, self_signed
from fraudlab.stack.layout import MAX_SOCKET_PATH
from fraudlab.stack.second_stack import free_ports


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The class server's keys, which take seconds to make."""
    room = Room(Settings(home=tmp_path_factory.mktemp("keys")))
    inside.make(room)
    return inside.folder(room)


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: Path) -> Room:
    """A class of anna and ben, in a home of its own."""
    monkeypatch.setenv("FRAUDLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FRAUDLAB_CLASS_WORK", str(tmp_path / "class"))
    monkeypatch.setenv("FRAUDLAB_CLASS_HOST", LOOPBACK)
    for name, port in zip(("CLASS", "CLASS_HUB", "CLASS_PROXY"), free_ports(3), strict=True):
        monkeypatch.setenv(f"FRAUDLAB_{name}_PORT", str(port))
    room = Room(Settings())
    room.add(["anna", "ben"])
    shutil.copytree(keys, inside.folder(room))
    return room


# Names


def test_a_class_list_has_a_name_a_line(tmp_path: Path) -> None:
    file = tmp_path / "class.txt"
    file.write_text("Anna\n\n# late\n  ben  # comes by train\n", encoding="utf-8")
    assert read_names(file) == ["anna", "ben"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("anna\nJürgen", "line 2: 'Jürgen' cannot"),
        ("anna\nANNA", "line 2: anna is there already"),
        ("lab", "labs without a class"),
        ("grade", "grading uses it"),
        ("9lives", "'9lives' cannot"),
        ("a" * 17, "cannot"),
        ("# nobody", "no names"),
    ],
)
def test_a_class_list_that_cannot_be_used_is_refused_with_the_line(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "class.txt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=complaint):
        read_names(file)


def test_learners_without_names_are_numbered() -> None:
    assert numbered(30)[0] == "learner01"
    assert numbered(30)[-1] == "learner30"
    assert [checked(name) for name in numbered(99)] == numbered(99)


def test_a_class_grows_and_nobody_is_in_it_twice(room: Room) -> None:
    assert room.add(["ben", "carl", "carl"]) == ["carl"]
    assert room.names() == ["anna", "ben", "carl"]
    with pytest.raises(UserError, match="at most 99"):
        room.add(numbered(99))
    assert room.names() == ["anna", "ben", "carl"]


# The class code


def test_a_class_code_is_easy_to_copy_and_hard_to_guess() -> None:
    code = make_code()
    assert len(access.plain(code)) == 12
    assert not set("il1o0") & set(code)
    assert code != make_code()
    assert is_code(f" {code.upper().replace('-', ' ')} ", code)
    assert not is_code(code[:-1], code)
    assert not is_code("", code)


def test_the_class_code_stays_and_only_its_owner_reads_it(room: Room) -> None:
    assert room.code() == room.code()
    (file,) = [one for one in room.folder.parent.iterdir() if one.is_file() and room.code() in one.read_text()]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_class_code_of_the_instructors_own_must_be_long(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUDLAB_SECRET_CLASS_CODE", "a-b-c-1-2-3-4")
    with pytest.raises(UserError, match="easy to guess"):
        room.code()
    monkeypatch.setenv("FRAUDLAB_SECRET_CLASS_CODE", "fraud is fun")
    assert is_code("Fraud-is-fun", room.code())
    assert room.given(CODE) == {"FRAUDLAB_SECRET_CLASS_CODE": "fraud is fun"}


def test_wrong_codes_count_for_a_minute() -> None:
    now = 0.0
    wrong = WrongTries(lambda: now)
    for _ in range(3):
        assert wrong.wait_s([("anna", 3)]) == 0
        wrong.note(["anna"])
        now += 10
    now = 20.0
    assert wrong.wait_s([("anna", 3)]) == 40, "until the first of the three is a minute old"
    assert wrong.wait_s([("ben", 3)]) == 0
    assert wrong.wait_s([("anna", 4), ("ben", 3)]) == 0
    now = 60.0
    assert wrong.wait_s([("anna", 3)]) == 0


def test_made_up_names_do_not_fill_the_memory() -> None:
    now = 0.0
    wrong = WrongTries(lambda: now)
    for number in range(wrong_tries.MOST_KEYS + 100):
        wrong.note([f"name {number}"])
    assert len(wrong._times) == wrong_tries.MOST_KEYS
    now = 61.0
    wrong.note(["anna"])
    assert list(wrong._times) == ["anna"], "what is old is forgotten"


# Logging in


def log_in(authenticator: ClassAuthenticator, name: str, code: str, address: str = "192.0.2.7") -> str:
    """The name as whom somebody is logged in. Raises HTTPError."""
    handler = SimpleNamespace(request=SimpleNamespace(remote_ip=address))
    data = {"username": name, "password": code}
    return asyncio.run(authenticator.authenticate(handler, data))  # type: ignore[arg-type]


def refusal(authenticator: ClassAuthenticator, name: str, code: str, address: str = "192.0.2.7") -> str:
    """What somebody reads who is not logged in."""
    with pytest.raises(HTTPError) as refused:
        log_in(authenticator, name, code, address)
    return str(refused.value.log_message)


def test_a_learner_logs_in_with_name_and_code(room: Room) -> None:
    assert log_in(ClassAuthenticator(), " Anna ", room.code()) == "anna"


def test_without_the_code_nobody_learns_who_is_in_the_class(room: Room) -> None:
    authenticator = ClassAuthenticator()
    answers = {refusal(authenticator, name, "wrong") for name in ("anna", "nobody", "")}
    assert len(answers) == 1
    for name in ("anna", "nobody"):
        for number in range(WRONG_OF_A_NAME - 1):
            refusal(authenticator, name, "wrong", f"198.51.100.{number}")
    assert {refusal(authenticator, name, "wrong", "203.0.113.1") for name in ("anna", "nobody")} == {
        "Too many wrong codes. Wait %d seconds, then try again. The code is on your instructor's screen."
    }


def test_with_the_code_a_name_that_is_not_on_the_list_is_told_so(room: Room) -> None:
    authenticator = ClassAuthenticator()
    assert "not on the class list" in refusal(authenticator, "zoe", room.code())
    room.add(["zoe"])
    assert log_in(authenticator, "zoe", room.code()) == "zoe", "added while the hub runs"


def test_a_name_with_many_wrong_codes_waits_even_with_the_right_one_from_anywhere(room: Room) -> None:
    authenticator = ClassAuthenticator()
    for number in range(WRONG_OF_A_NAME):
        assert "not the class code" in refusal(authenticator, "anna", "wrong", f"198.51.100.{number}")
    assert "Too many wrong codes" in refusal(authenticator, "anna", room.code(), "203.0.113.1")
    assert log_in(authenticator, "ben", room.code()) == "ben"


def test_an_address_with_many_wrong_codes_waits_whatever_the_name(room: Room) -> None:
    authenticator = ClassAuthenticator()
    for number in range(WRONG_OF_AN_ADDRESS):
        refusal(authenticator, f"guess{number}", "wrong")
    assert "Too many wrong codes" in refusal(authenticator, "ben", room.code())
    assert log_in(authenticator, "ben", room.code(), "192.0.2.8") == "ben"


# What a learner gets


def test_a_learners_server_has_the_learners_name_and_folder_and_no_secret(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAUDLAB_SECRET_MYSQL_ROOT", "not for learners")
    room.servers_log.parent.mkdir(parents=True)
    config = Config()
    hub.configure(config, room.settings)
    os.close(deepcopy(config).LocalProcessSpawner.popen_kwargs["stdout"])  # JupyterHub copies it, too
    (room.work / "anna").mkdir(parents=True)
    spawner = SimpleNamespace(user=SimpleNamespace(name="anna"))
    given = {name: value(spawner) if callable(value) else value for name, value in config.Spawner.environment.items()}
    assert given["FRAUDLAB_LEARNER"] == "anna"
    assert given["FRAUDLAB_WORK"] == str(room.work / "anna")
    assert given["FRAUDLAB_HOME"] == str(room.settings.home)
    assert "--KernelManager.transport=ipc" in config.Spawner.args
    assert len(given["JUPYTER_RUNTIME_DIR"].encode()) + KERNEL_SOCKET <= MAX_SOCKET_PATH, "kernels' sockets have room"
    assert not {name for name in [*given, *config.LocalProcessSpawner.env_keep] if "SECRET" in name}
    assert not [value for value in given.values() if value in (room.code(), "not for learners")]


@pytest.mark.parametrize(("learners", "taskmanagers", "slots"), [(2, 1, 12), (30, 1, 180), (5, 2, 15), (3, 2, 9)])
def test_a_class_has_six_task_slots_a_learner(learners: int, taskmanagers: int, slots: int) -> None:
    assert commands.slots_for(learners, taskmanagers) == slots


def test_a_number_of_task_slots_that_the_instructor_has_set_stays(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, said = commands.with_slots(room.settings, 30)
    assert (settings.task_slots, "FRAUDLAB_TASK_SLOTS is 180" in said) == (180, True)
    assert commands.with_slots(room.settings, 1)[0].task_slots == 12, "never fewer than usual"
    monkeypatch.setenv("FRAUDLAB_TASK_SLOTS", "20")
    settings, said = commands.with_slots(Settings(), 30)
    assert (settings.task_slots, "too few" in said) == (20, True)


# The certificate


def names_in(room: Room) -> set[Any]:
    """The names and addresses for which the certificate is."""
    read = x509.load_pem_x509_certificate(room.certificate.read_bytes())
    return {one.value for one in read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value}


def test_a_certificate_is_made_once_for_all_addresses(room: Room) -> None:
    assert "made a certificate" in certificate.provide(room)
    assert {ip_address(LOOPBACK), "localhost"} <= names_in(room)
    assert stat.S_IMODE(room.key.stat().st_mode) == 0o600
    before = certificate.fingerprint(room)
    assert "last time" in certificate.provide(room)
    assert certificate.fingerprint(room) == before
    assert len(before.split(":")) == 32


def test_a_certificate_is_made_again_for_another_address(room: Room) -> None:
    certificate.provide(room)
    moved = Room(room.settings.model_copy(update={"class_host": "192.0.2.9"}))
    assert "made a certificate" in certificate.provide(moved)
    assert ip_address("192.0.2.9") in names_in(moved)


def own_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate and its key, as an instructor may have them."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    paths = folder / "own.key", folder / "own.pem"
    for path, content in zip(paths, as_pem(key, self_signed(key, "class.example", VALID_FOR)), strict=True):
        path.write_bytes(content)
    return paths[1], paths[0]


def test_a_given_certificate_is_taken_and_stays(room: Room, tmp_path: Path) -> None:
    given = own_certificate(tmp_path)
    certificate.provide(room, *given)
    assert room.certificate.read_bytes() == given[0].read_bytes()
    assert "last time" in certificate.provide(room), "also at the next start, without the options"
    assert room.certificate.read_bytes() == given[0].read_bytes()


def test_a_given_certificate_that_cannot_be_used_is_refused(room: Room, tmp_path: Path) -> None:
    certificate.provide(room)
    (own, _), other = own_certificate(tmp_path), room.key
    with pytest.raises(UserError, match="cannot be used with the key"):
        certificate.provide(room, own, other)
    with pytest.raises(UserError, match="needs its key"):
        certificate.provide(room, own)
    with pytest.raises(UserError, match="cannot be used"):
        certificate.provide(room, tmp_path / "none.pem", other)


# The proxy


def test_a_proxy_that_was_restarted_knows_where_jupyterlabs_are(room: Room) -> None:
    room.folder.mkdir(parents=True, exist_ok=True)
    first = proxy.make(room)
    first.add_route("/user/ada", {"target": "http://127.0.0.1:1", "jupyterhub": True, "user": "ada"})
    first.add_route("/user/ben", {"target": "http://127.0.0.1:2", "jupyterhub": True, "user": "ben"})
    first.remove_route("/user/ben")
    again = proxy.make(room)
    assert again.target_for_req("", "/user/ada/lab")["target"] == "http://127.0.0.1:1"
    assert again.target_for_req("", "/user/ben/lab")["target"] == room.hub_url
    assert again.get_routes()["/user/ada"]["user"] == "ada"
    (room.folder / "routes.json").write_text("{", encoding="utf-8")
    assert proxy.make(room).target_for_req("", "/user/ada/lab")["target"] == room.hub_url


class Page(RequestHandler):
    """Says what it was asked with."""

    def get(self) -> None:
        self.write(dict(self.request.headers.get_all()))

    def put(self) -> None:
        self.write(str(len(self.request.body)))


class Kernel(WebSocketHandler):
    """Speaks as a kernel's WebSocket does: with a subprotocol, in bytes and in text, and ends when told so."""

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return subprotocols[-1] if subprotocols else None

    async def open(self, *_: str, **__: str) -> None:
        await self.write_message(b"first", binary=True)

    async def on_message(self, message: str | bytes) -> None:
        if message == "end":
            self.close(4000, "ended")
        else:
            await self.write_message(message, binary=isinstance(message, bytes))


def hubs_door(room: Room) -> ssl.SSLContext:
    """What a server in the hub's place listens with."""
    return inside.context(room, ssl.Purpose.CLIENT_AUTH, inside.HUB, inside.HUB_CA)


@asynccontextmanager
async def door(room: Room) -> AsyncIterator[ssl.SSLContext]:
    """The proxy with a server behind it in the hub's place; gives what trusts the proxy's certificate."""
    certificate.provide(room)
    pages: list[Any] = [("/page", Page), ("/kernel", Kernel), ("/user/anna/save", Page)]
    behind = HTTPServer(Application(pages), ssl_options=hubs_door(room))
    front = HTTPServer(proxy.make(room).proxy_app, ssl_options=certificate.context(room))
    behind.listen(room.settings.class_hub_port, LOOPBACK)
    front.listen(room.settings.class_port, LOOPBACK)
    try:
        yield ssl.create_default_context(cafile=room.certificate)
    finally:
        for server in (front, behind):
            server.stop()
            await server.close_all_connections()


def through(room: Room, ask: Callable[[str, ssl.SSLContext], Awaitable[Any]]) -> Any:
    """What `ask` gets, which is told where the proxy is."""

    async def asked() -> Any:
        async with door(room) as trusted:
            return await ask(f"{LOOPBACK}:{room.settings.class_port}", trusted)

    return asyncio.run(asked())


def test_the_proxy_says_who_asks_whatever_the_browser_says(room: Room) -> None:
    """Wrong codes are counted by address."""
    lies = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Real-IP": "203.0.113.9",
        "X-Scheme": "http",
        "Forwarded": "for=203.0.113.9",
    }

    async def ask(address: str, trusted: ssl.SSLContext) -> HTTPResponse:
        request = HTTPRequest(f"https://{address}/page", headers=lies, ssl_options=trusted)
        return await AsyncHTTPClient().fetch(request)

    said = through(room, ask).body.decode()
    assert "203.0.113.9" not in said
    assert f'"X-Forwarded-For": "{LOOPBACK}"' in said
    assert '"X-Forwarded-Proto": "https"' in said


def test_a_websocket_keeps_its_subprotocol_its_bytes_and_its_end(room: Room) -> None:
    async def ask(address: str, trusted: ssl.SSLContext) -> list[Any]:
        request = HTTPRequest(
            f"wss://{address}/kernel", ssl_options=trusted, headers={"Sec-WebSocket-Extensions": "permessage-deflate"}
        )
        client: WebSocketClientConnection = await websocket_connect(request, subprotocols=["v0", "v1"])
        heard: list[Any] = [client.selected_subprotocol, await client.read_message()]
        for message in (b"\x00\xff", "text"):
            await client.write_message(message, binary=isinstance(message, bytes))
            heard.append(await client.read_message())
        await client.write_message("end")
        heard.append(await client.read_message())
        client.close()
        return [*heard, client.close_code]

    assert through(room, ask) == ["v1", b"first", b"\x00\xff", "text", None, 4000]


def test_while_the_hub_is_away_the_page_says_so_and_tries_again(room: Room) -> None:
    away = Room(room.settings.model_copy(update={"class_hub_port": free_ports(1)[0]}))

    async def ask(address: str, trusted: ssl.SSLContext) -> HTTPResponse:
        front = HTTPServer(proxy.make(away).proxy_app, ssl_options=certificate.context(room))
        (port,) = free_ports(1)
        front.listen(port, LOOPBACK)
        request = HTTPRequest(f"https://{LOOPBACK}:{port}/", ssl_options=trusted)
        try:
            return await AsyncHTTPClient().fetch(request, raise_error=False)
        finally:
            front.stop()
            await front.close_all_connections()

    answer = through(room, ask)
    assert answer.code == 503
    assert "Your work is safe" in answer.body.decode()


def test_sec_01_who_takes_the_hubs_port_is_told_no_class_code_and_no_log_in(room: Room, tmp_path: Path) -> None:
    """Another user of this machine takes the port of the hub, of a JupyterLab or of the instructor's page while it is away."""
    heard: list[bytes] = []

    class Thief(RequestHandler):
        def prepare(self) -> None:
            heard.append(self.request.body)
            self.finish("welcome")

    async def ask(_: str, trusted: ssl.SSLContext) -> list[int]:
        (port,) = free_ports(1)
        other = Room(room.settings.model_copy(update={"home": tmp_path / "other"}))
        certificate.provide(other)
        taken = HTTPServer(Application([("/.*", Thief)]), ssl_options=certificate.context(other))
        taken.listen(port, LOOPBACK)
        asking = proxy.make(Room(room.settings.model_copy(update={"class_hub_port": port})))
        for path in ("/user/anna", room.page_path):
            asking.add_route(path, {"target": f"https://{LOOPBACK}:{port}"})
        front = HTTPServer(asking.proxy_app, ssl_options=certificate.context(room))
        (door_port,) = free_ports(1)
        front.listen(door_port, LOOPBACK)
        said = []
        try:
            for path in ("/hub/login", "/user/anna/lab", f"{room.page_path}login"):
                request = HTTPRequest(
                    f"https://{LOOPBACK}:{door_port}{path}",
                    method="POST",
                    body=f"password={room.code()}",
                    headers={"Cookie": "jupyterhub-user-anna=secret"},
                    ssl_options=trusted,
                )
                said.append((await AsyncHTTPClient().fetch(request, raise_error=False)).code)
        finally:
            for server in (front, taken):
                server.stop()
                await server.close_all_connections()
        return said

    assert through(room, ask) == [503, 503, 503]
    assert heard == []


@pytest.mark.parametrize("listens_with", [hubs_door, inside.proxys_api])
def test_sec_01_another_user_gets_no_word_with_the_hub_or_the_proxy(
    room: Room, listens_with: Callable[[Room], ssl.SSLContext]
) -> None:
    """Otherwise wrong codes could be sent under any address, and the limit for an address would not count."""

    async def ask() -> str:
        listening = HTTPServer(Application([("/page", Page)]), ssl_options=listens_with(room))
        (port,) = free_ports(1)
        listening.listen(port, LOOPBACK)
        stranger = ssl.create_default_context(cafile=inside.folder(room) / "hub-ca_trust.crt")
        try:
            request = HTTPRequest(f"https://{LOOPBACK}:{port}/page", ssl_options=stranger)
            return str((await AsyncHTTPClient().fetch(request)).code)
        except (ssl.SSLError, OSError, HTTPClientError) as error:
            return type(error).__name__
        finally:
            listening.stop()
            await listening.close_all_connections()

    assert asyncio.run(ask()) != "200"


def test_sec_01_the_instructors_page_answers_the_proxy_alone(room: Room) -> None:
    """Who gets a cookie of it that isn't logged in could plant it in the instructor's browser, where it would be logged in."""
    given = inside.pages_files(room)
    assert given["ssl_cert_reqs"] == ssl.CERT_REQUIRED
    assert Path(str(given["ssl_certfile"])).exists()


def test_no_other_port_gets_the_cookie_of_the_instructors_page(room: Room) -> None:
    """A browser sends it to every port of its host, but only below its path, which nobody can guess."""
    assert re.fullmatch(r"/services/page-[0-9a-f]{32}/", room.page_path)
    assert Room(room.settings).page_path == room.page_path
    assert commands.page(room.settings)[0][0].endswith(room.page_path)


def sent(room: Room, path: str, announced: int, body: bytes, trusted: ssl.SSLContext) -> ssl.SSLSocket:
    """A request that has brought so much of its body."""
    plain = socket.create_connection((LOOPBACK, room.settings.class_port), timeout=10)
    connection = trusted.wrap_socket(plain, server_hostname=LOOPBACK)
    connection.sendall(f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {announced}\r\n\r\n".encode() + body)
    return connection


def test_sec_05_bodies_of_strangers_do_not_fill_the_memory_of_the_class_server(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 requests of 90 MB each, which never ended, took 1.9 GB."""
    monkeypatch.setattr(proxy, "Bodies", lambda: bodies.Bodies(8 * 2**20))

    async def ask(_: str, trusted: ssl.SSLContext) -> tuple[str, bytes, bytes]:
        def all_of_it() -> tuple[str, bytes, bytes]:
            half = b"x" * 3 * 2**20
            held = [sent(room, "/user/anna/save", len(half) * 2, half, trusted) for _ in range(4)]
            with sent(room, "/user/anna/save", len(half), half, trusted) as last:
                answer = last.recv(1000)
            oldest = held[0].recv(1000)
            with sent(room, "/hub/login", 2 * 2**20, b"", trusted) as large:
                refused = large.recv(1000)
            for one in held:
                one.close()
            return answer.decode(), oldest, refused

        return await asyncio.to_thread(all_of_it)

    answer, oldest, refused = through(room, ask)
    assert answer.startswith("HTTP/1.1 200")
    assert answer.endswith(str(3 * 2**20))
    assert oldest == b""
    assert refused.startswith(b"HTTP/1.1 413")


def test_nothing_of_the_class_server_is_loaded_by_other_commands() -> None:
    """JupyterHub takes a second to import."""
    code = "import sys, fraudlab.cli; print(*[one for one in sys.modules if 'jupyterhub' in one or 'classroom' in one])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_root_opens_no_class_unless_it_says_so(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(UserError, match="as root") as refused:
        commands.up(room.settings, [], (None, None), print)
    assert "--as-root" in refused.value.advice
    (room.folder / "names.json").unlink()
    with pytest.raises(UserError, match="Nobody is on the class list"):
        commands.up(room.settings, [], (None, None), print, as_root=True)
