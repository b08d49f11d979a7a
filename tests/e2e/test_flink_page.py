"""Flink's web page in a real browser: its owner gets in and cancels a job; pages of other origins get nowhere (case sec-02)."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page, expect

from fraudlab import pages
from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack import flink
from fraudlab.stack.provision.system import chromium
from tests.e2e.conftest import PATIENCE_MS, Visit, visit
from tests.support.home import outside_pytest
from tests.support.waiting import eventually, patient

JOB = """
from fraudlab.settings import Settings
from fraudlab.system import flink_cluster
_, tables = flink_cluster(Settings()).table_environment()
tables.get_config().set("pipeline.name", "to-cancel")
tables.execute_sql("CREATE TABLE numbers (n INT) WITH ('connector' = 'datagen', 'rows-per-second' = '1')")
tables.execute_sql("CREATE TABLE nothing (n INT) WITH ('connector' = 'blackhole')")
tables.execute_sql("INSERT INTO nothing SELECT n FROM numbers")
"""
"""A job that disturbs nobody."""

ATTACK = """async ([page, rest, job]) => {
  const jar = () => { const form = new FormData(); form.append("jarfile", new Blob(["PK"]), "a.jar"); return form };
  const tries = [];
  for (const base of [page, rest, rest.replace("http:", "https:")]) {
    tries.push(fetch(base + "/jars/upload", { method: "POST", body: jar(), credentials: "include" }));
    tries.push(fetch(base + "/jars/upload", { method: "POST", body: jar(), mode: "no-cors", credentials: "include" }));
    tries.push(fetch(base + "/jobs", { method: "POST", body: jar(), mode: "no-cors", credentials: "include" }));
    tries.push(fetch(base + "/jobs/overview", { credentials: "include" }));
    tries.push(fetch(base + "/jobs/" + job + "?mode=cancel", { method: "PATCH", credentials: "include" }));
    tries.push(fetch(base + "/jobs/" + job + "/yarn-cancel", { mode: "no-cors", credentials: "include" }));
    const image = new Image();
    tries.push(new Promise((done) => { image.onload = image.onerror = done }));
    image.src = base + "/jobs/" + job + "/yarn-cancel";
    for (const [path, method] of [["/jobs", "POST"], ["/jars/upload", "POST"], ["/jobs/" + job + "/yarn-cancel", "GET"]]) {
      const frame = document.createElement("iframe");
      frame.name = Math.random().toString();
      document.body.append(frame);
      const form = document.createElement("form");
      Object.assign(form, { method, action: base + path, target: frame.name, enctype: "multipart/form-data" });
      document.body.append(form);
      form.submit();
      tries.push(new Promise((done) => { frame.onload = done; setTimeout(done, 3000) }));
    }
  }
  const answers = await Promise.allSettled(tries);
  return answers.filter((one) => one.value instanceof Response && one.value.type !== "opaque").map((one) => one.value.url);
}"""
"""What a page elsewhere can make a browser send. Gives the addresses whose answer it can read."""


@pytest.fixture(scope="module")
def job(settings: Settings) -> str:
    """The id of a running job of no importance."""
    done = subprocess.run(
        [sys.executable, "-c", JOB],
        env=outside_pytest(),
        capture_output=True,
        text=True,
        timeout=patient(120),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return eventually(lambda: next(iter(running(settings)), None), "the job runs")


def running(settings: Settings) -> list[str]:
    jobs = flink.rest(settings, patient(30)).jobs()
    return [one.id for one in jobs if one.name == "to-cancel" and one.state == "RUNNING"]


@pytest.fixture
def owner(browser: Browser, settings: Settings) -> Iterator[Visit]:
    """A browser that knows the page: it was opened by the address that `fraudlab open flink` prints."""
    with closing(browser.new_context(viewport={"width": 1440, "height": 900})) as context:
        context.set_default_timeout(PATIENCE_MS)
        seen = visit(context)
        seen.page.goto(pages.address(settings, "flink"))
        yield seen


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The port of a web site that is not ours."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Elsewhere</title>")

        def log_message(self, format: str, *values: object) -> None:
            """Nothing is said."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_the_token_leaves_the_address_and_the_page_shows_the_jobs(owner: Visit, settings: Settings, job: str) -> None:
    page = owner.page
    page.wait_for_url(f"{settings.flink_page}/**")
    expect(page.get_by_text("to-cancel").first).to_be_visible()
    assert "token" not in page.url
    again = visit(page.context)
    again.page.goto(settings.flink_page)
    expect(again.page.get_by_text("to-cancel").first).to_be_visible()
    assert owner.hosts == {LOOPBACK}
    assert page.evaluate("document.cookie") == "", "no script reads the cookie"
    page.go_back()
    assert "token" not in page.url, "nor is it a step back"


def test_a_stranger_is_told_what_to_do(watched: Visit, settings: Settings) -> None:
    for address in (settings.flink_page, f"{settings.flink_page}/?token=guess", f"{settings.flink_page}/jobs/overview"):
        answer = watched.page.goto(address)
        assert answer is not None
        assert answer.status == 401
        expect(watched.page.get_by_text("fraudlab open flink").first).to_be_visible()


@pytest.mark.parametrize("host", [LOOPBACK, "localhost"], ids=["same-site", "other-site"])
def test_sec_02_a_page_of_another_origin_gets_nowhere(
    owner: Visit, settings: Settings, job: str, elsewhere: int, host: str
) -> None:
    answers: list[tuple[str, str, int]] = []
    owner.page.context.on("response", lambda answer: answers.append((answer.request.method, answer.url, answer.status)))
    page = visit(owner.page.context).page
    page.goto(f"http://{host}:{elsewhere}/")
    readable = page.evaluate(ATTACK, [settings.flink_page, f"http://{LOOPBACK}:{settings.flink_rest_port}", job])
    assert readable == [], "no answer of Flink or its guard can be read"
    of_guard = [one for one in answers if one[1].startswith(settings.flink_page)]
    assert {method for method, _, _ in of_guard} >= {"GET", "POST"}
    assert not [one for one in of_guard if one[0] != "GET" and one[2] not in (401, 403)]
    assert not [one for one in of_guard if "yarn" in one[1] and one[2] not in (401, 403)]
    of_rest = {status for _, url, status in answers if f":{settings.flink_rest_port}" in url}
    assert of_rest <= {301}, "REST only says that it wants TLS, and then a key"
    assert running(settings) == [job], "nothing was cancelled, and nothing submitted"


def test_sec_02_another_name_for_this_machine_is_not_answered(browser: Browser, settings: Settings) -> None:
    """As after DNS rebinding: the browser takes us for another site, and sends its name."""
    arguments = ["--host-resolver-rules=MAP evil.example 127.0.0.1", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with closing(browser.browser_type.launch(executable_path=chromium(), args=arguments)) as rebound:
        page = rebound.new_page()
        answer = page.goto(pages.address(settings, "flink").replace(LOOPBACK, "evil.example"))
        assert answer is not None
        assert answer.status == 403
        assert page.context.cookies() == []


def test_a_job_is_cancelled_by_the_button_on_the_page(owner: Visit, settings: Settings, job: str) -> None:
    page: Page = owner.page
    page.wait_for_url(f"{settings.flink_page}/*/#/overview")  # its script goes there, and would interrupt the next step
    page.goto(f"{settings.flink_page}/#/job/running/{job}/overview")
    page.get_by_text("Cancel Job").first.click()
    page.get_by_role("button", name="Yes").click()
    eventually(lambda: job not in running(settings), "the job ends")
