"""What notebooks call is complete, explained, and shown by `lab.help()`."""

import ast
import inspect
import os
import re
import shutil
import sys
import textwrap
from html import unescape
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

from fraudlab.course import lab, notebooks
from fraudlab.course.breaking import MOST_OF_EVERYBODY, MOST_PARTITIONS, require_room
from fraudlab.course.cards import Card, Contents, Done
from fraudlab.course.lab.binding import tools_at_hand
from fraudlab.course.workspace import Workspace
from fraudlab.errors import UserError
from fraudlab.services.consumer import consume
from fraudlab.settings import REPOSITORY, Settings
from tests.support.documents import PAGES, text

CALLED = re.compile(r"(?<![\w/.])lab\.([A-Za-z_]+)(?![\w-])")


def docstring(name: str) -> str:
    return inspect.getdoc(getattr(lab, name)) or ""


def shown(name: str = "") -> str:
    return str(lab.help(name))


def used_in_notebooks() -> set[str]:
    paths = [*notebooks.SOLUTIONS.glob("*.ipynb"), *notebooks.LABS.glob("*.ipynb")]
    assert len(paths) == 16
    return {
        name
        for path in paths
        for cell in nbformat.read(path, as_version=4).cells
        for name in CALLED.findall(cell.source)
    }


def used_in_documents() -> set[str]:
    return {name for page in PAGES for name in CALLED.findall(text(page))} - {"py", "md"}


def test_every_helper_that_a_notebook_or_a_page_uses_is_public() -> None:
    used = used_in_notebooks() | used_in_documents()
    assert len(used) > 60
    assert used - set(lab.__all__) == set()


def test_everything_that_is_bound_is_in_all_once() -> None:
    bound = {
        name
        for name, thing in vars(lab).items()
        if not name.startswith("_") and not isinstance(thing, ModuleType) and name not in FOR_ITSELF
    }
    assert sorted(lab.__all__) == sorted(bound)
    assert dir(lab) == sorted(lab.__all__), "what a notebook completes after `lab.`"


FOR_ITSELF = {"TOPICS", "Card", "Contents", "Workspace", "with_workspace", "answer_of"}


@pytest.mark.parametrize("name", lab.__all__)
def test_every_name_is_explained_and_in_the_help(name: str) -> None:
    first_line = docstring(name).partition("\n")[0]
    assert first_line.endswith("."), f"the docstring of lab.{name} begins with a sentence"
    assert re.search(rf"^  lab\.{name} +\S", shown(), re.MULTILINE)
    card = lab.help(name)
    assert isinstance(card, Card)
    assert card.head.startswith(f"lab.{name}")
    assert not re.search(r"\bworld\b", card.head.removeprefix("lab.world")), "a learner passes no world"
    assert "the learner" not in str(card).lower(), "a learner is you"


ONLY_TELL = {"help", "start", "check", "hint", "solution", "glossary", "show", "inbox_page", "verify"}


def test_a_helper_that_does_something_answers_done_or_raises() -> None:
    answers = {name: lab.answer_of(name) for name in lab.__all__}
    told = {name for name, answer in answers.items() if answer in (Card, Card | Contents)}
    assert told == ONLY_TELL, (
        "a card may tell; a helper that does something returns Done, and refuses by raising UserError"
    )
    assert {"up", "catch_up", "reset", "help_me", "kill", "service", "dashboard", "flink_page"} == {
        name for name, answer in answers.items() if answer is Done
    }


@pytest.mark.parametrize("name", lab.__all__)
def test_what_takes_an_argument_has_an_example_that_calls_it(name: str) -> None:
    _, _, example = docstring(name).partition("Example:\n")
    called = {
        node.attr
        for node in ast.walk(ast.parse(textwrap.dedent(example)))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "lab"
    }
    assert called <= set(lab.__all__)
    thing = getattr(lab, name)
    takes = {} if isinstance(thing, type) else inspect.signature(thing).parameters
    assert name in called or not takes


@pytest.mark.parametrize("name", lab.__all__)
def test_arguments_that_are_explained_are_those_that_there_are(name: str) -> None:
    section = re.search(r"^Args:\n((?:    .*\n?|\n)*)", docstring(name), re.MULTILINE)
    if section:
        explained = re.findall(r"^    (\w+):", section[1], re.MULTILINE)
        assert explained == list(inspect.signature(getattr(lab, name)).parameters)


def test_help_is_a_table_by_topic_also_as_html() -> None:
    table = lab.help()
    for topic in lab.TOPICS:
        assert f'scope="rowgroup" style="text-align:left;vertical-align:top">{topic}</th>' in table._repr_html_()
        assert f"\n{topic}\n" in str(table)
    assert set(re.findall(r"<code>lab\.(\w+)</code></th>", table._repr_html_())) == set(lab.__all__)


def test_help_on_a_name_that_is_not_there_says_which_is_meant() -> None:
    assert "`lab.check`" in shown("chek")
    assert "`lab.help()`" in shown("xyzzy")
    assert shown("lab.pay()") == shown("pay")


def test_a_helper_has_the_types_of_what_it_calls_without_the_world() -> None:
    signature = inspect.signature(lab.pay)
    assert [*signature.parameters][:4] == ["user_id", "amount", "currency", "country"]
    assert signature.return_annotation.__name__ == "PaymentResult"


def test_no_part_of_the_course_uses_what_is_private_to_another_module() -> None:
    wrong = []
    for path in sorted((REPOSITORY / "fraudlab" / "course").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        own |= {
            node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        }
        wrong += [
            f"{path.name}:{node.lineno} {node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr) and node.attr not in own
        ]
    assert wrong == []


def test_a_cell_finds_the_tools_and_they_have_the_learners_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.delenv("FRAUDLAB_LEARNER", raising=False)
    tools_at_hand()
    tools_at_hand()  # a cell may run twice
    assert shutil.which("fraudlab") == str(Path(sys.executable).with_name("fraudlab"))
    assert os.environ["FRAUDLAB_LEARNER"] == "lab"
    assert os.environ["PATH"].split(os.pathsep)[1:] == ["/bin"]


def shown_lines(card: Card) -> list[str]:
    """What a learner reads in the code of a card, line by line."""
    code = card._repr_html_().partition("<pre")[2].partition(">")[2].partition("</pre>")[0]
    return unescape(re.sub(r"<[^>]*>", "", code)).splitlines()


def test_code_is_shown_with_the_numbers_that_its_lines_have_in_the_file() -> None:
    card = lab.show(consume)
    file = Path(inspect.getfile(consume)).read_text(encoding="utf-8").splitlines()
    assert len(shown_lines(card)) > 80
    for line in shown_lines(card):
        number, _, code = line.lstrip().partition("  ")
        assert file[int(number) - 1] == code
    assert ">def</span>" in card._repr_html_(), "keywords have a colour"
    assert card.code.splitlines()[0] == "def consume(", "as text it can be copied"


def test_only_the_part_that_matters_is_shown() -> None:
    card = lab.show(consume, "for partition, records")
    said = shown_lines(card)
    assert len(said) < 10
    assert "for partition, records in fetched.items():" in said[0]
    assert "except MalformedRecordError" in "".join(said)


def test_a_part_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match="No statement of `consume` begins with `nothing like this`"):
        lab.show(consume, "nothing like this")


def test_sec_05_all_learners_together_do_not_fill_kafka_with_partitions(tmp_path: Path) -> None:
    """Each keeps to a limit of their own. With 16,700 partitions Kafka had no memory left, and stood still."""

    def described(**topics: int) -> list[dict[str, object]]:
        return [{"name": name, "partitions": [{}] * count} for name, count in topics.items()]

    anna = Workspace(Settings(home=tmp_path, learner="anna"))
    topics = {"others.wide": MOST_OF_EVERYBODY - MOST_PARTITIONS, "anna.wide": 150}
    require_room(described(**topics), anna, "anna.fits", 50)
    topics["others.more"] = 1
    with pytest.raises(UserError, match=f"all topics on this stack would have {MOST_OF_EVERYBODY + 1} partitions"):
        require_room(described(**topics), anna, "anna.one-more", 50)
