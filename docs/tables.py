"""Writes the tables of the documents that follow from the code: settings (each also on the page of what reads it), records, labs' minutes.

    python docs/tables.py           # writes them anew
    python docs/tables.py --check   # changes nothing; ends with status 1 where a table is not as it must be

Each table stands between `<!-- begin NAME -->` and `<!-- end NAME -->`.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from fraudlab.course import notebooks, review
from fraudlab.pipeline import records
from fraudlab.settings import REPOSITORY, Settings

DOCS = REPOSITORY / "docs"
UNKNOWN = "?"
OPENING_MIN, SHORT_BREAK_MIN, BREAK_MIN, LUNCH_MIN, CLOSING_MIN = 10, 10, 15, 60, 10
PAUSES: dict[str, dict[int, tuple[str, int]]] = {
    "half a day": {1: ("break", SHORT_BREAK_MIN), 3: ("break", SHORT_BREAK_MIN)},
    "a full day": {
        1: ("break", BREAK_MIN),
        3: ("lunch", LUNCH_MIN),
        4: ("break", SHORT_BREAK_MIN),
        5: ("break", BREAK_MIN),
        6: ("break", SHORT_BREAK_MIN),
    },
}
"""After which lab of an agenda there is a pause, and for how many minutes."""

SHOWN: dict[str, tuple[str, int]] = {"half a day": ("Lab 05 on the projector: the thief is stopped and told", 10)}
"""What the instructor shows at the end of an agenda that leaves it out, and for how many minutes."""

CUTS: dict[int, tuple[str, ...]] = {
    0: ("What Flink is for", "Exercise 00.2: How much room is there?"),
    1: ("Exercise 01.1: How many accounts were robbed?", "Without the helper"),
    2: ("Exercise 02.4: Count each payment once",),
    3: ("Exercise 03.2: Who knows the name?", "Exercise 03.5: A table of events"),
    4: (
        *("Exercise 04.1: What comes late?", "Exercise 04.7: A late event through a side output", "Without the helper"),
        "Exercise 04.8: How good is it?",
    ),
    5: ("Exercise 05.1: How many can help?",),
    6: ("Exercise 06.5: A sink that writes in transactions",),
    7: (
        *("A window that ends with each row", "Exercise 07.4: The rule in SQL", "What it can't say"),
        *("A pattern", "Exercise 07.5: The rule as a pattern", "What each costs"),
    ),
}
"""Which steps of each lab are left out first."""
QUIZ, WRONG_WAY = "Quiz", "The tempting wrong way"
WRONG_WAY_STAYS = {4, 5}
"""Labs whose tempting wrong way is worth its time."""

DEFAULTS = Settings.model_construct()
SETTINGS: dict[str, tuple[str, ...]] = {
    "operations.md": (
        *(
            "home",
            "work",
            "port_base",
            "in_container",
            "mysqld",
            "mysql_clients",
            "kafka_controller_port",
            "kafka_security_protocol",
            "kafka_sasl_mechanism",
            "kafka_ca",
            "zookeeper_host",
            "zookeeper_port",
        ),
        *("flink_page_host", "flink_page_port", "flink_rpc_port", "taskmanager_host", "taskmanagers", "task_slots"),
        *("class_sharing", "disk_reserve_mib"),
        *("jupyter_port", "kernel_idle_s"),
    ),
    "pipeline.md": (
        *("learner", "mysql_host", "mysql_port", "kafka_host", "kafka_port", "partitions"),
        *("flink_host", "flink_rest_port", "checkpoint_interval_s"),
    ),
    "jobs/transaction-join.md": ("parallelism", "profile_patience_s"),
    "jobs/fraud-detector.md": (
        *(
            "parallelism",
            "window_s",
            "min_countries",
            "threshold_eur",
            "allowed_lateness_s",
            "max_age_s",
            "profile_patience_s",
        ),
    ),
    "services/notifier.md": tuple(name for name in Settings.model_fields if name.startswith("notify_")),
    "services/inbox.md": tuple(name for name in Settings.model_fields if name.startswith("inbox_")),
    "class.md": tuple(name for name in Settings.model_fields if name.startswith("class_") and name != "class_sharing"),
    "services/dashboard.md": tuple(name for name in Settings.model_fields if name.startswith("dashboard_")),
}
"""Which page tells of which settings: that of the job or service that reads them; where several do, the pipeline's."""

Labs = Mapping[int, tuple[str, int | None]]
"""The number of a lab to its title and minutes, without optional steps; None where its notebook is not there yet."""


def default(name: str) -> str:
    """The default of a setting as the table shows it: folders relative to the repository, `empty` for an empty text."""
    value = getattr(DEFAULTS, name)
    if isinstance(value, Path):
        return str(value.relative_to(REPOSITORY))
    return str(value) or "empty"


def settings_table() -> str:
    """Every setting: its variable, default and meaning, and whose it is."""
    return _table(
        ("variable", "default", "what", "of"), [(*_setting(name), _owners(name)) for name in Settings.model_fields]
    )


def settings_of(page: str) -> str:
    """The settings of one page."""
    return _table(("variable", "default", "what"), [_setting(name) for name in SETTINGS[page]])


def _setting(name: str) -> tuple[str, str, str]:
    return f"`FRAUDLAB_{name.upper()}`", default(name), str(Settings.model_fields[name].description)


def _owners(name: str) -> str:
    titles = {"operations.md": "stack", "pipeline.md": "several"}
    return ", ".join(
        f"[{titles.get(page, Path(page).stem)}]({page})" for page, names in SETTINGS.items() if name in names
    )


JSON_TYPES = {int: "integer", str: "string", bool: "boolean", dict: "object", NoneType: "null"}


def shape_table(kind: type[msgspec.Struct]) -> str:
    """The fields of a record."""
    rows = []
    for name, hint, said in records.fields(kind):
        form = ", ".join(one.extra["format"] for one in said if one.extra)
        shown = (said[-1].examples or [None])[0]
        rows.append((f"`{name}`", _json_type(hint), form, said[-1].description or "", f"`{_json(shown)}`"))
    return _table(("field", "JSON type", "format", "meaning", "example"), rows)


def _json_type(hint: Any) -> str:
    """`array of strings`, `integer or null`."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _json_type(arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(map(_json_type, arguments))
    if origin is list:
        return f"array of {_json_type(arguments[0])}s"
    kind = origin or hint
    return "object" if issubclass(kind, msgspec.Struct) else JSON_TYPES[kind]


def _json(value: object) -> str:
    return records.encode(value).decode()


def labs() -> Labs:
    """The labs that the course defines."""
    course = review.present()
    minutes = {lab.number: review.lab_minutes(notebook) for lab, notebook in course.pairs()}
    return {int(lab.number): (lab.title, minutes.get(lab.number)) for lab in course.definitions}


def minutes_table(known: Labs) -> str:
    """The minutes of each lab, and of all in each agenda; those of optional steps come on top."""
    numbers = max((numbers for numbers, _ in review.AGENDAS.values()), key=len)
    course = review.present()
    optional = {int(lab.number): review.optional_minutes(notebook) for lab, notebook in course.pairs()}
    typed = {int(lab.number): notebooks.to_type(notebook) for lab, notebook in course.pairs()}

    def lines(wanted: Sequence[int]) -> tuple[str, str]:
        counts = [typed.get(number, (0, 0)) for number in wanted]
        return str(sum(all_ for all_, _ in counts)), str(sum(flink for _, flink in counts))

    rows = [(*_lab_row(known, number), str(optional.get(number) or ""), *lines([number])) for number in numbers]
    for name, (wanted, allowed) in review.AGENDAS.items():
        total = _sum([known.get(number, (UNKNOWN, None))[1] for number in wanted])
        more = str(sum(optional.get(number, 0) for number in wanted) or "")
        rows.append(
            (
                f"{wanted[0]:02} to {wanted[-1]:02}",
                f"{name}, {allowed[0]} to {allowed[-1]} allowed",
                total,
                more,
                *lines(wanted),
            )
        )
    return _table(("lab", "title", "minutes", "optional", "lines you type", "Flink or SQL"), rows)


def cuts(number: int) -> list[tuple[str, int]]:
    """What a lab leaves out first: titles of steps, each with the minutes that it saves. Raises KeyError for a title that is none."""
    course = review.present()
    notebook = next(notebook for lab, notebook in course.pairs() if int(lab.number) == number)
    minutes = {step.title: step.minutes for step in review.steps(notebook)}
    usual = [QUIZ] if number in WRONG_WAY_STAYS else [WRONG_WAY, QUIZ]
    return [(title, minutes[title]) for title in (*CUTS[number], *usual)]


def cuts_table() -> str:
    """What to leave out in each lab, and the minutes that it saves."""
    rows = []
    for number in CUTS:
        saved = cuts(number)
        rows.append(
            (
                f"{number:02}",
                "; ".join(f"{title} ({minutes})" for title, minutes in saved),
                str(sum(m for _, m in saved)),
            )
        )
    return _table(("lab", "what", "minutes saved"), rows)


def agenda(known: Labs, name: str) -> list[tuple[str, int | None, int | None]]:
    """What is done in which order: what, its minutes, and its minutes with nothing cut."""
    steps: list[tuple[str, int | None, int | None]] = [
        ("welcome, who is here, does every machine work", OPENING_MIN, OPENING_MIN)
    ]
    for number in review.AGENDAS[name][0]:
        title, minutes = known.get(number, (UNKNOWN, None))
        saved = sum(saved for _, saved in cuts(number)) if minutes is not None else 0
        steps.append((f"Lab {number:02} · {title}", None if minutes is None else minutes - saved, minutes))
        if number in PAUSES[name]:
            what, pause_min = PAUSES[name][number]
            steps.append((what, pause_min, pause_min))
    if name in SHOWN:
        what, shown_min = SHOWN[name]
        steps.append((what, shown_min, shown_min))
    steps.append(("what was learnt, questions", CLOSING_MIN, CLOSING_MIN))
    return steps


def agenda_table(known: Labs, name: str) -> str:
    """One agenda on the clock: when each lab and pause begins, counted from the start."""
    rows, passed, whole = [], list[int | None](), list[int | None]()
    for what, minutes, uncut in agenda(known, name):
        begins = _sum(passed)
        if begins != UNKNOWN:
            begins = f"{int(begins) // 60}:{int(begins) % 60:02}"
        rows.append((begins, what, _sum([minutes]), _sum([uncut])))
        passed.append(minutes)
        whole.append(uncut)
    rows.append(("", "in all", _sum(passed), _sum(whole)))
    head = ("from", "what", "minutes", "with nothing cut")
    return _table(head, rows)


def _lab_row(known: Labs, number: int) -> tuple[str, str, str]:
    title, minutes = known.get(number, (UNKNOWN, None))
    return f"{number:02}", title, UNKNOWN if minutes is None else str(minutes)


def _sum(minutes: Sequence[int | None]) -> str:
    return UNKNOWN if None in minutes else str(sum(one for one in minutes if one is not None))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


TABLES: dict[str, dict[str, Callable[[], str]]] = {
    "settings.md": {"settings": settings_table},
    **{page: {"settings": partial(settings_of, page)} for page in SETTINGS},
    "records.md": {
        "envelope": partial(shape_table, records.Envelope),
        "source": partial(shape_table, records.Source),
        "transaction_mid": partial(shape_table, records.JoinedTransaction),
        "suspicious_activities": partial(shape_table, records.Activity),
    },
    "instructor-guide.md": {
        "minutes": lambda: minutes_table(labs()),
        "half a day": lambda: agenda_table(labs(), "half a day"),
        "a full day": lambda: agenda_table(labs(), "a full day"),
        "cuts": cuts_table,
    },
}


def filled(page: str, text: str) -> str:
    """A page with its tables as they must be. Raises ValueError where it has no place for one of them."""
    for name, table in TABLES[page].items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"docs/{page} needs {begin} and {end}, once each")
        content = f"{begin}\n\n{table()}\n\n{end}"
        before, after = text.partition(begin)[0], text.partition(end)[2]
        text = f"{before}{content}{after}"
    return text


def differing() -> Iterator[tuple[Path, str]]:
    """The pages whose tables are not as they must be, each with its right text."""
    for page in TABLES:
        path = DOCS / page
        present = path.read_text(encoding="utf-8")
        right = filled(page, present)
        if right != present:
            yield path, right


def main() -> int:
    pages = list(differing())
    for path, right in pages:
        if "--check" in sys.argv:
            print(f"{path.relative_to(REPOSITORY)}: a table is not up to date. Next: python docs/tables.py")
        else:
            path.write_text(right, encoding="utf-8")
            print(f"{path.relative_to(REPOSITORY)} written")
    return 1 if pages and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
