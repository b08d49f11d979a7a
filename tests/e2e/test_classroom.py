"""A class in the browser: learners log in, work, ask for help, and meet a restart of the class server; the instructor sees who is stuck."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from fraudlab.classroom.access import WRONG_OF_A_NAME
from fraudlab.classroom.room import Room
from fraudlab.course.breaking import CLASS_HUB
from fraudlab.course.messages import OF_CLASS, Messages
from fraudlab.course.workspace import Workspace
from fraudlab.services.login import WRONG_OF_AN_ADDRESS
from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack.layout import Layout
from fraudlab.stack.supervisor import Stack
from fraudlab.stack.supervisord import marked_processes
from tests.e2e.conftest import PATIENCE_MS
from tests.support.home import outcome, run
from tests.support.notebook import CELL_MS, Notebook
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the first one waits for the system and for a class

ANNA, BEN = "anna", "ben"
START, SECOND = 1, 3
"""Places of cells in Lab 00 whose text a test may replace: `lab.start`, and the one after it."""


@dataclass
class Class:
    """An open class, and how its instructor commands it."""

    room: Room
    fraudlab: Callable[..., "subprocess.CompletedProcess[str]"]

    @property
    def url(self) -> str:
        return f"https://{LOOPBACK}:{self.room.settings.class_port}/"


@pytest.fixture(scope="module")
def classroom(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Class]:
    """A class of two, opened with the command and closed with it. Nothing of it is left."""
    own = settings.model_copy(update={"class_work": tmp_path_factory.mktemp("class") / "work"})
    environment = own.environment() | {"COLUMNS": "200"}
    command = str(Path(sys.executable).with_name("fraudlab"))

    def fraudlab(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return outcome([command, "class", *arguments], **environment)

    names = tmp_path_factory.mktemp("list") / "class.txt"
    names.write_text(f"{ANNA}\n{BEN.title()}\n", encoding="utf-8")
    run([command, "class", "up", "--as-root", "--names", str(names)], print, environment)
    try:
        yield Class(Room(own), fraudlab)
    finally:
        ended = fraudlab("down", "--forget", "--yes")
    assert ended.returncode == 0, ended.stdout
    assert not own.class_work.exists()
    assert not of_class(own)
    assert Stack(own).secrets.secret("class_code", lambda: "gone") == "gone"
    Stack(own).secrets.forget(lambda name: name == "class_code")


@pytest.fixture
def browsers(browser: Browser) -> Iterator[Callable[[], Page]]:
    """Browsers of several people, who have accepted the certificate."""
    with ExitStack() as opened:

        def new() -> Page:
            context: BrowserContext = browser.new_context(ignore_https_errors=True, locale="en-GB")
            opened.callback(context.close)
            context.set_default_timeout(PATIENCE_MS)
            return context.new_page()

        yield new


def of_class(settings: Settings) -> list[psutil.Process]:
    """Learners' JupyterLabs and their kernels."""
    return [one for one in marked_processes(Layout(settings.home).home) if OF_CLASS in one.environ()]


def type_in(page: Page, name: str, code: str) -> None:
    """Fills in the log-in page and sends it."""
    page.get_by_label("Your name").fill(name)
    page.get_by_label("The class code").fill(code)
    page.get_by_role("button", name="Sign in").click()


def log_in(page: Page, classroom: Class, name: str) -> Notebook:
    """Logs a learner in; gives Lab 00 when its kernel is ready."""
    page.goto(classroom.url)
    type_in(page, name, classroom.room.code())
    page.wait_for_url(f"**/user/{name}/lab/tree/00-*", timeout=CELL_MS)
    return Notebook(page)


def program(classroom: Class, name: str) -> int:
    """The process id of a program of the class server."""
    return int(Stack(classroom.room.settings).processes()[name]["pid"])


def kill(classroom: Class, name: str) -> None:
    """Kills a program of the class server, and waits until the supervisor has started it again."""
    stack, settings = Stack(classroom.room.settings), classroom.room.settings
    before = stack.kill(name)
    eventually(lambda: program(classroom, name) not in (0, before), f"{name} runs again")
    seen = eventually(
        lambda: (told := classroom.fraudlab("status")).returncode == 0 and told.stdout, "the class server is ready"
    )
    assert str(settings.class_port) in str(seen)


def test_two_learners_work_in_their_own_jupyterlabs(
    classroom: Class, browsers: Callable[[], Page], tmp_path: Path
) -> None:
    anna, ben = browsers(), browsers()
    anna.goto(classroom.url)
    anna.screenshot(path=tmp_path / "1-log-in.png")
    type_in(anna, ANNA, "wrong")
    expect(anna.locator(".login_error")).to_contain_text("not the class code")
    anna.screenshot(path=tmp_path / "2-wrong-code.png")
    type_in(anna, "zoe", classroom.room.code())
    expect(anna.locator(".login_error")).to_contain_text("not on the class list")

    notebooks = {name: log_in(page, classroom, name) for name, page in ((ANNA, anna), (BEN, ben))}
    for name, notebook in notebooks.items():
        expect(notebook.run(START)).to_contain_text("MySQL, Kafka and Flink are running", timeout=CELL_MS)
        said = notebook.run(
            SECOND, f'mine = "{name}s own"\nlab.names().database, lab.query("SELECT CURRENT_USER() AS me").me[0]'
        )
        expect(said).to_contain_text(f"{name}_payment")
        expect(said).to_contain_text(f"{name}_learner@")
    anna.screenshot(path=tmp_path / "3-working.png")

    # the other's server, which runs
    answer = anna.goto(f"{classroom.url}user/{BEN}/lab")
    assert answer is not None
    assert answer.status in (403, 404)
    expect(anna.locator("body")).to_contain_text("somebody else's")
    anna.screenshot(path=tmp_path / "4-the-others.png")
    for path in (f"user/{BEN}/api/contents/00-start-here.ipynb", f"user/{BEN}/api/kernels", f"hub/api/users/{BEN}"):
        assert anna.request.get(f"{classroom.url}{path}").status in (403, 404), path
    anna.get_by_role("link", name="your own JupyterLab").click()
    expect(anna.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=CELL_MS)


def test_a_kernel_and_a_log_in_outlive_a_restart_of_the_hub(
    classroom: Class, browsers: Callable[[], Page], tmp_path: Path
) -> None:
    page = browsers()
    notebook = log_in(page, classroom, BEN)
    notebook.run(SECOND, 'mine = "bens own"')
    kill(classroom, CLASS_HUB)
    expect(notebook.run(SECOND, "print(mine, 1)")).to_contain_text("bens own 1")
    page.reload()
    expect(Notebook(page).run(SECOND, "print(mine, 2)")).to_contain_text("bens own 2", timeout=CELL_MS)
    page.screenshot(path=tmp_path / "after-the-restart.png")


def test_a_class_that_is_closed_and_opened_keeps_work_and_log_ins(
    classroom: Class, browsers: Callable[[], Page]
) -> None:
    page = browsers()
    log_in(page, classroom, ANNA).run(SECOND, "print('my answer')")
    page.keyboard.press("Control+s")
    kept = classroom.room.work / ANNA / "00-start-here.ipynb"
    eventually(lambda: "my answer" in kept.read_text(encoding="utf-8"), "the notebook is saved")
    assert classroom.fraudlab("down").returncode == 0
    assert not of_class(classroom.room.settings)
    assert classroom.fraudlab("up", "--as-root").returncode == 0
    page.goto(classroom.url)
    page.wait_for_url(f"**/user/{ANNA}/lab/tree/00-*", timeout=CELL_MS)
    expect(Notebook(page).run(SECOND)).to_contain_text("my answer", timeout=CELL_MS)


def test_only_the_class_servers_own_port_is_reached_from_other_machines(
    classroom: Class, browsers: Callable[[], Page]
) -> None:
    log_in(browsers(), classroom, ANNA)
    settings = classroom.room.settings
    listening = {
        (one.laddr.ip, one.laddr.port)
        for process in marked_processes(Layout(settings.home).home)
        for one in process.net_connections(kind="tcp")
        if one.status == psutil.CONN_LISTEN
    }
    beyond = {port for address, port in listening if not address.startswith(("127.", "::1", "::ffff:127."))}
    assert beyond == {settings.class_port}
    assert (LOOPBACK, settings.class_hub_port) in listening


def test_wrong_codes_are_limited_and_the_page_says_how_long(classroom: Class, browsers: Callable[[], Page]) -> None:
    page = browsers()
    page.goto(classroom.url)
    for _ in range(WRONG_OF_A_NAME):
        type_in(page, "mallory", "guess")
        expect(page.locator(".login_error")).to_contain_text("not the class code")
    type_in(page, "mallory", "guess")
    expect(page.locator(".login_error")).to_have_text(re.compile(r"Too many wrong codes\. Wait \d+ seconds"))


def test_the_instructor_adds_a_learner_and_lets_one_begin_again(
    classroom: Class, browsers: Callable[[], Page], tmp_path: Path
) -> None:
    added = classroom.fraudlab("add", "Dora")
    assert added.returncode == 0, added.stdout
    page = browsers()
    log_in(page, classroom, "dora").run(SECOND, "print('my answer')")
    page.keyboard.press("Control+s")
    work = classroom.room.work / "dora"
    eventually(lambda: "my answer" in (work / "00-start-here.ipynb").read_text(encoding="utf-8"), "it is saved")
    status = classroom.fraudlab("status")
    assert re.search(r"dora\W+runs", status.stdout), status.stdout
    assert classroom.room.code() in status.stdout
    assert "Not separated" in status.stdout
    assert classroom.fraudlab("reset", "dora").returncode == 0
    assert "my answer" not in (work / "00-start-here.ipynb").read_text(encoding="utf-8")
    (kept,) = classroom.room.work.glob("dora.*")
    assert "my answer" in (kept / "00-start-here.ipynb").read_text(encoding="utf-8")
    page.goto(classroom.url)
    page.wait_for_url("**/user/dora/lab/tree/00-*", timeout=CELL_MS)
    Notebook(page)
    assert classroom.fraudlab("reset", "nobody").returncode == 1


WRONG = "lab.check('00.1', {'a': 'stream'}), lab.check('00.1', ['stream'])"
RIGHT = "from fraudlab.course.labs.lab00.answers import SORTING; lab.check('00.1', *SORTING.right[0].answers)"
QUESTION = "What is a <b>stream</b>?"


def log_in_as_instructor(page: Page, classroom: Class) -> None:
    """Opens the instructor's page, past its password."""
    page.goto(f"{classroom.url.removesuffix('/')}{classroom.room.page_path}")
    page.get_by_label("Password").fill(classroom.room.code())
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("not the password")
    page.get_by_label("Password").fill(classroom.room.page_password())
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="The class", exact=True)).to_be_visible()


def test_the_instructor_sees_who_is_stuck_and_answers_a_raised_hand(
    classroom: Class, browsers: Callable[[], Page], tmp_path: Path
) -> None:
    teacher, learner = browsers(), browsers()
    teacher.set_viewport_size({"width": 1500, "height": 1100})
    log_in_as_instructor(teacher, classroom)
    row = teacher.locator(".matrix tbody tr").filter(has_text=BEN)
    notebook = log_in(learner, classroom, BEN)
    notebook.run(START)
    expect(row).to_contain_text("00")
    notebook.run(SECOND, WRONG)
    expect(row).to_have_class("is-stuck")
    expect(row.locator(".square.stuck")).to_have_text(re.compile("2.*stuck, 2 tries"))
    said = notebook.run(SECOND, f"lab.help_me({QUESTION!r})")
    expect(said).to_contain_text("Your hand is up")
    hand = teacher.locator(".hand").filter(has_text=QUESTION)
    expect(hand).to_contain_text(f"{BEN}00.1")
    teacher.screenshot(path=tmp_path / "1-stuck.png", full_page=True)

    teacher.locator(".hand").filter(has_text="Exercise 00.1").get_by_role("button", name="1", exact=True).click()
    teacher.get_by_label("a sentence for their notebooks").fill("Break until <b>11</b>.")
    teacher.get_by_role("button", name="Announce").click()
    eventually(lambda: len(Messages(classroom.room.learner(BEN)).announcements()) == 2, "both are announced")
    shown = notebook.run(SECOND, "1 + 1")
    expect(shown).to_contain_text("Hint 1 for Exercise 00.1")
    expect(shown).to_contain_text("Break until <b>11</b>.")
    learner.screenshot(path=tmp_path / "2-announced.png")

    expect(notebook.run(SECOND, RIGHT)).to_contain_text("Right")
    expect(hand).to_have_count(0)
    expect(row.locator(".square.solved")).to_have_count(1)
    expect(row).not_to_have_class("is-stuck")

    notebook.run(SECOND, "lab.help_me()")
    teacher.get_by_role("button", name="Helped").click()
    expect(teacher.get_by_text("Nobody asks for help.")).to_be_visible()
    teacher.emulate_media(color_scheme="dark")
    teacher.screenshot(path=tmp_path / "3-solved.png", full_page=True)
    with teacher.expect_download() as download:
        teacher.get_by_role("button", name="Download as CSV").click()
    assert f"{BEN},00,00.1,3,0,yes," in download.value.path().read_text(encoding="utf-8")


def test_the_instructor_brings_learners_to_a_lab_and_ends_their_jobs(
    classroom: Class, browsers: Callable[[], Page], tmp_path: Path
) -> None:
    teacher = browsers()
    log_in_as_instructor(teacher, classroom)
    teacher.get_by_label("whom").click()
    teacher.get_by_role("option", name=ANNA).click()
    teacher.get_by_label("to the beginning of").click()
    teacher.get_by_role("option", name="Lab 03").click()
    teacher.get_by_role("button", name="Bring them there").click()
    teacher.get_by_role("dialog").get_by_role("button", name="Bring them there").click()
    expect(teacher.locator(".brought")).to_contain_text(
        f"{ANNA} (1 of 1) is at the beginning of Lab 03", timeout=CELL_MS
    )
    assert Workspace(classroom.room.learner(ANNA)).value("SELECT COUNT(*) FROM transactions") > 0
    job = teacher.locator(".job").filter(has_text=ANNA).first
    expect(job).to_contain_text("cdc-ingestion")
    teacher.screenshot(path=tmp_path / "brought.png", full_page=True)
    job.get_by_role("button", name="End").click()
    expect(teacher.locator(".job").filter(has_text=ANNA)).to_have_count(0)


def test_the_instructors_page_is_nobody_elses(classroom: Class, browsers: Callable[[], Page]) -> None:
    page = browsers()
    log_in(page, classroom, ANNA)
    address = f"{classroom.url.removesuffix('/')}{classroom.room.page_path}"
    answer = page.goto(address)
    assert answer is not None
    expect(
        page.get_by_role("heading", name="Log in").or_(page.get_by_text("This page is for the instructor."))
    ).to_be_visible()
    expect(page.locator(".matrix")).to_have_count(0)
    assert BEN not in page.content()
    cookies = {one["name"]: one for one in page.context.cookies()}
    cookie = cookies["class-page"]
    for _ in range(WRONG_OF_AN_ADDRESS + 1):
        page.get_by_label("Password").fill("guess")
        page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text(re.compile(r"Too many wrong passwords\. Wait \d+ seconds"))
    assert (cookie["path"], cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (
        classroom.room.page_path,
        True,
        True,
        "Strict",
    )
