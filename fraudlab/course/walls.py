"""Errors of Flink, MySQL and Python as a few sentences: what happened, where, and what to do. Nobody reads sixty frames of Java."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile, zip_longest
from types import TracebackType

LONGEST = 300
IN_FULL = "The full error: run `%tb` in another cell."


@dataclass(frozen=True, slots=True)
class Explanation:
    """An error in sentences; `where` is the line of the learner's statement, "" where none is to blame."""

    what: str
    where: str = ""
    advice: str = ""

    def __str__(self) -> str:
        return "\n".join(part for part in (self.what, self.where, self.advice) if part)

    @property
    def line(self) -> str:
        """All of it in one line, for a card."""
        where = self.where.partition("\n")[0]
        return " ".join(part for part in (self.what, f"{where}." if where else "", self.advice) if part)


# Flink

_JAVA = re.compile(r"^(?:Caused by: |: )?((?:[a-z]\w*\.)+[A-Z][\w$]*(?:Exception|Error)): ?(.*)$")
_FRAME = re.compile(r"\s*(at [\w.$/]+\(|\.\.\. \d+ more)")
_SPOT = re.compile(r"(?:From|At|at) line (\d+), column (\d+)(?: to line \d+, column \d+)?:? ?")
_QUERY_COLUMN = re.compile(r"(\w+): ([A-Z][^,\]]*(?:\([^)]*\))?[^,\]]*)")

_OF_SQL: tuple[tuple[str, str, str], ...] = (
    (
        r"Column '(.+?)' not found in (?:any table|table '(.+?)')",
        r"There is no column `\1`",
        "Compare it with the columns of the tables in FROM.",
    ),
    (
        r"Object '(.+?)' not found",
        r"There is no table `\1`",
        "Check the name, and run the cell that defines the table.",
    ),
    (r"Table '(.+?)' not found", r"There is no table `\1`", "Check the alias and the name behind FROM and JOIN."),
    (
        r"Expression '(.+?)' is not being grouped",
        r"`\1` is neither in GROUP BY nor in a function such as COUNT or MAX",
        "Add it to GROUP BY.",
    ),
    (
        r"No match found for function signature (\w+)\(",
        r"Flink has no function `\1` for these arguments",
        "Check its name, and how many arguments it takes.",
    ),
    (
        r"Cannot apply '(.+?)' to arguments of type '(.+?)'",
        r"`\1` does not work on these types: \2",
        "Convert one side: CAST(… AS …).",
    ),
    (
        r"Table \(or view\) (?:\w+\.)?(\w+) already exists",
        r"There is a table `\1` in this environment already",
        "Run the cell that makes the environment again, or define the table only once.",
    ),
    (
        r'Encountered "<EOF>"',
        "The statement ends too early, or is empty",
        "A part is missing at its end: a bracket, a condition, a table.",
    ),
    (
        r"Non-query expression encountered in illegal context",
        "Flink does not know this kind of statement",
        "Look at its first words: is SELECT, INSERT INTO or CREATE spelled right?",
    ),
    (
        r'Encountered "(.+?)"',
        r"Flink did not expect `\1` here",
        "Look at the word before it, too: is a keyword misspelled, or is a comma or a bracket missing?",
    ),
    (
        r"Cannot discover a connector|Could not find any factory for identifier '(.+?)'",
        r"Flink has no connector or format `\1`",
        "Compare the table's WITH with the one above.",
    ),
)


def is_javas(text: str) -> bool:
    """Whether an error's text is a stack trace of Java."""
    return any(_JAVA.match(line) for line in text.splitlines()) or "org.apache.flink" in text


def of_flink(text: str, statement: str = "") -> Explanation:
    """What Flink says in a stack trace; `statement` is the SQL that it was given, "" where there is none."""
    causes = _causes(text)
    said = causes[-1] if causes else next(iter(text.splitlines()), "an error without a message")
    whole = "\n".join(causes)
    if "Column types of query result and sink" in whole:
        return _of_columns(next(cause for cause in causes if "Column types of query result and sink" in cause))
    spot = _SPOT.search(whole)
    where = _line_of(statement, int(spot[1]), int(spot[2])) if spot else ""
    for pattern, what, advice in _OF_SQL:
        if found := re.search(pattern, whole):
            return Explanation(f"Flink: {found.expand(what)}.", where, advice)
    return Explanation(f"Flink: {_short(_SPOT.sub('', said))}", where)


def _causes(text: str) -> list[str]:
    """The messages of an exception and of its causes, the outermost first, without frames."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if java := _JAVA.match(line):
            found.append([java[2]])
        elif found and not _FRAME.match(line):
            found[-1].append(line)
    return ["\n".join(lines).strip() for lines in found if any(lines)]


def _line_of(statement: str, number: int, column: int) -> str:
    lines = statement.splitlines()
    if not 0 < number <= len(lines):
        return f"It is in line {number} of the statement."
    return f"Line {number}: {lines[number - 1].strip()}\n{' ' * (len(f'Line {number}: ') + column - 1 - _indent(lines[number - 1]))}^"


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _of_columns(said: str) -> Explanation:
    """A query whose columns are not those of the table that it writes to."""
    query, sink = (
        _QUERY_COLUMN.findall(
            next((line for line in said.splitlines() if line.strip().startswith(f"{side} schema")), "")
        )
        for side in ("Query", "Sink")
    )
    if len(query) != len(sink):
        return Explanation(
            f"Flink: your query or stream gives {_columns(len(query))}, and the table that it writes to has {len(sink)}:"
            f" {', '.join(name for name, _ in sink)}.",
            advice="Give one for each, in this order. A stream needs its types: the last argument of `flat_map`, `map` and `process`.",
        )
    for place, ((_, given), (name, wanted)) in enumerate(zip_longest(query, sink), 1):
        if f"sink column '{name}'" in said:
            return Explanation(
                f"Flink: column {place} of your query is {given.strip()}, but the table's column `{name}` is {wanted.strip()}.",
                advice="Make it that type: a comparison such as `<> 0` gives BOOLEAN, CAST(… AS …) the others.",
            )
    return Explanation("Flink: the columns of your query are not those of the table that it writes to.")


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"


# MySQL

_OF_MYSQL: Mapping[int, tuple[str, str, str]] = {
    1146: (
        r"Table '(?:\w+\.)?(.+?)' doesn't exist",
        r"MySQL has no table `\1`",
        'Your tables: `lab.query("SHOW TABLES")`.',
    ),
    1054: (
        r"Unknown column '(.+?)'",
        r"MySQL has no column `\1` there",
        '`lab.table("…")` shows a table with its columns.',
    ),
    1064: (
        r"near '(.*?)' at line (\d+)",
        r"MySQL does not understand line \2 of the statement, at: \1",
        "Look just before that place: a misspelled keyword, a comma, a bracket.",
    ),
    1406: (
        r"Data too long for column '(\w+)'",
        r"The value for `\1` is too long",
        "A currency has three letters (`EUR`), a country two (`DE`).",
    ),
    1265: (r"Data truncated for column '(\w+)'", r"The value for `\1` is not of its type", ""),
    1366: (
        r"Incorrect \w+ value: '(.*?)' for column '(?:.*\.)?`?(\w+)`?'",
        r"`\1` is no value for `\2`",
        'An amount is text with a point, such as `"25.00"`.',
    ),
    1264: (r"Out of range value for column '(\w+)'", r"The value for `\1` is too large or too small", ""),
    1292: (
        r"Incorrect \w+ value: '(.*?)' for column '(\w+)'",
        r"`\1` is no value for `\2`",
        "A time is written `2026-01-31 12:00:00`.",
    ),
    1048: (r"Column '(\w+)' cannot be null", r"`\1` must have a value", ""),
    1062: (
        r"Duplicate entry '(.*?)' for key '(.+?)'",
        r"There is a row with the key \1 already",
        "Use another key, or UPDATE the row.",
    ),
    1452: (r"", "There is no account with this number", "`lab.open_account()` opens one and returns its number."),
    3819: (
        r"Check constraint '(.+?)' is violated",
        r"The bank does not accept this row: its rule `\1` does not hold",
        "",
    ),
    1142: (r"(\w+) command denied .* for table '(.+?)'", r"You may not \1 in `\2`", ""),
    1060: (
        r"Duplicate column name '(.+?)'",
        r"The table has a column `\1` already",
        "Drop it first: ALTER TABLE … DROP COLUMN …",
    ),
    1305: (r"FUNCTION (?:\w+\.)?(\w+) does not exist", r"MySQL has no function `\1`", ""),
}


def of_mysql(number: int, said: str) -> Explanation:
    """What MySQL answers to a statement, by the number of its error and its words."""
    pattern, what, advice = _OF_MYSQL.get(number, ("", "", ""))
    found = re.search(pattern, said, re.DOTALL) if what else None
    return Explanation(f"{found.expand(what)}.", advice=advice) if found else Explanation(f"MySQL: {_short(said)}")


# Names


def of_name(name: str, cells: Sequence[tuple[str, bool]]) -> Explanation:
    """A name that is not defined.

    Args:
        name: The name.
        cells: The code cells of the notebook before the one that has failed, each with whether it has run.
    """
    makes = re.compile(
        rf"^(?:def |class )?{re.escape(name)}\b(?:\s*[,=(:]|$)|^from .* import .*\b{re.escape(name)}\b|^import .*\b{re.escape(name)}\b",
        re.MULTILINE,
    )
    makers = [(source, ran) for source, ran in cells if makes.search(source)]
    if not makers:
        return Explanation(
            f"`{name}` is not defined.", advice="Is it spelled as in the cell that defines it? Has that cell run?"
        )
    source, _ = makers[-1]
    exercise = re.match(r"# Exercise (\d\d\.\d+)", source)
    which = (
        f"the cell of Exercise {exercise[1]}"
        if exercise
        else f"the cell that begins with `{source.strip().splitlines()[0][:60]}`"
    )
    if not any(ran for _, ran in cells):
        return Explanation(
            f"`{name}` is not defined: this kernel has run none of the cells above. After a restart it knows nothing.",
            advice=f"Run all of them, from the top: Run → Run All Above Selected Cell. `{name}` comes from {which}.",
        )
    return Explanation(
        f"`{name}` is not defined: {which} has not run in this kernel, or not to its end.",
        advice="Run that cell, then this one again.",
    )


def of_placeholder(name: str, cells: Sequence[tuple[str, bool]]) -> Explanation:
    """An answer that is still `...` and was used as if it were there.

    Args:
        name: The name of the answer.
        cells: As for `of_name`.
    """
    exercises = [
        number[1]
        for source, _ in cells
        if (number := re.match(r"# Exercise (\d\d\.\d+)", source)) and re.search(rf"\b{re.escape(name)}\b", source)
    ]
    which = f"Exercise {exercises[0]}" if exercises else "its exercise"
    return Explanation(
        f"`{name}` is still `...`: {which} is not solved yet, or its cell has not run since.",
        advice="Write your answer in that cell, run it, then run this one again.",
    )


def statement_of(trace: TracebackType | None) -> str:
    """The SQL that a call of PyFlink was given: an argument of one of the functions that have failed; "" where there is none."""
    found = [
        text
        for frame in _frames(trace)
        for name in ("stmt", "statement", "query", "insert_sql")
        if (text := frame.get(name))
    ]
    texts = [text for text in found if isinstance(text, str) and " " in text]
    return texts[-1] if texts else ""


def _frames(trace: TracebackType | None) -> Iterator[Mapping[str, object]]:
    while trace is not None:
        yield trace.tb_frame.f_locals
        trace = trace.tb_next


def _short(text: str) -> str:
    line = " ".join(takewhile(lambda word: word, text.split()))
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
