"""Whom the guard of Flink's page lets in, as far as it decides without Flink. tests/e2e/test_flink_page.py has the rest."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fraudlab.settings import Settings
from fraudlab.stack.flink_guard import Guard, application

TOKEN = "the-token"
FOLDER = "/the-folder-of-this-run/"


def asked(home: Path, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of the answer. No Flink is there, so what is passed on is 502."""
    given = {"host": "127.0.0.1:18081"} | {name.replace("_", "-"): value for name, value in headers.items()}
    where, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": where,
        "raw_path": where.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "scheme": "http",
        "server": ("127.0.0.1", 18081),
    }
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("a body is never read")

    async def send(message: Any) -> None:
        sent.append(message)

    settings = Settings(home=home, flink_page_port=18081, flink_rest_port=1)
    asyncio.run(application(settings, TOKEN, FOLDER)(scope, receive, send))  # type: ignore[arg-type] # a scope as uvicorn makes it
    answer = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answer, b"".join(one.get("body", b"") for one in sent[1:]).decode()


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE", "HEAD"])
@pytest.mark.parametrize(
    "path", ["/", "/jobs", "/jars/upload", "/jobs/overview?x=1", "/?token=guess", "/?token=", f"{FOLDER[:-2]}x/", "//"]
)
def test_sec_01_a_stranger_is_told_how_to_ask(tmp_path: Path, path: str, method: str) -> None:
    status, headers, text = asked(tmp_path, path, method, cookie=f"fraudlab-flink-18081={TOKEN}")
    assert status == 401
    assert "set-cookie" not in headers
    assert "fraudlab open flink" in text
    assert FOLDER not in text


def test_the_token_gives_the_folder_and_no_cookie_and_leaves_the_address(tmp_path: Path) -> None:
    status, headers, text = asked(tmp_path, f"/?token={TOKEN}")
    assert status == 200
    assert "set-cookie" not in headers
    assert f"location.replace('{FOLDER}')" in text
    assert TOKEN not in text


def test_each_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """Who takes the port of a guard that has ended, while its page is still open, learns a name that leads nowhere."""
    folders = {Guard(Settings(home=tmp_path), TOKEN).folder for _ in range(2)}
    assert len(folders) == 2
    assert min(map(len, folders)) > 32


def test_who_is_known_is_passed_on(tmp_path: Path) -> None:
    status, _, text = asked(tmp_path, f"{FOLDER}jobs/overview")
    assert (status, "Flink does not answer" in text) == (502, True)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_sec_02_nothing_but_looking_is_passed_on(tmp_path: Path, method: str) -> None:
    for path in ("jobs", "jars/upload", "jobs/1?mode=cancel"):
        assert asked(tmp_path, FOLDER + path, method, origin="http://127.0.0.1:18081")[0] == 405


@pytest.mark.parametrize("path", ["jobs/1/yarn-cancel", "jobs/1/yarn-stop", "v1/jobs/1/yarn-cancel/"])
@pytest.mark.parametrize(
    ("site", "expected"), [("same-origin", 502), ("same-site", 403), ("cross-site", 403), ("none", 403), ("", 403)]
)
def test_sec_02_only_the_pages_own_button_cancels_a_job(tmp_path: Path, path: str, site: str, expected: int) -> None:
    assert asked(tmp_path, FOLDER + path, sec_fetch_site=site)[0] == expected


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", [FOLDER, f"/?token={TOKEN}"])
@pytest.mark.parametrize(
    "headers",
    [{"host": "evil.example"}, {"host": ""}, {"origin": "http://127.0.0.1:9999"}, {"origin": "null"}],
    ids=["host", "no-host", "origin", "null"],
)
def test_sec_02_foreign_pages_and_names_are_refused(
    tmp_path: Path, headers: dict[str, str], path: str, method: str
) -> None:
    assert asked(tmp_path, path, method, **headers)[0] == 403
