"""Writes what was measured into docs/performance.md, between markers as docs/tables.py has them, and draws the plots."""

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.peer_process import environment
from fraudlab.settings import REPOSITORY

HERE = Path(__file__).parent
PAGE = REPOSITORY / "docs" / "performance.md"
PICTURES = REPOSITORY / "docs" / "pictures"
PLOTS = {
    "peers": "Payments per second of each program that finds the detector's hours; the table above has the figures",
    "growth": "Payments per second, by the number of users and by the payments of one user in an hour; the table above has the figures",
    "stages": "Milliseconds from the payment to each stage at each rate, p50 and p99; the table above has the figures",
}
"""What each plot shows, for readers who do not see it."""
Figures = list[dict[str, Any]]


def write(figures: dict[str, Any], home: Path, say: Callable[[str], None]) -> None:
    """Brings the page and its plots up to date. A part without figures keeps its table."""
    text = PAGE.read_text(encoding="utf-8")
    for name, part in figures.items():
        if name in TABLES:
            content = [measured_on(part["machine"]), TABLES[name](part["figures"])]
            if name in PLOTS:
                content.append(f"![{PLOTS[name]}](pictures/performance-{name}.svg)")
            text = replaced(text, name, "\n\n".join(content))
    PAGE.write_text(text, encoding="utf-8")
    python = environment(home, HERE / "plots", say)
    given = json.dumps({"figures": figures, "titles": PLOTS})
    subprocess.run([python, HERE / "plots" / "draw.py", PICTURES], input=given, text=True, check=True, env={})


def replaced(text: str, name: str, content: str) -> str:
    """A page with new content between `<!-- begin NAME -->` and `<!-- end NAME -->`. Raises ValueError where it has no such place."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"docs/performance.md needs {begin} and {end}, once each")
    return f"{text.partition(begin)[0]}{begin}\n\n{content}\n\n{end}{text.partition(end)[2]}"


def measured_on(machine: dict[str, Any]) -> str:
    """The machine as a sentence."""
    return (
        f"Measured on {machine['at'][:10]}, commit `{machine['commit']}`: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}; "
        f"the load average before was {machine['load_before']}."
    )


def peers_table(figures: Figures) -> str:
    """Ratios first: how fast each is, with the detector as 1."""
    head = ("", "speed of detector", "payments/s", "median s", "payments", "MiB resident", "MiB state", "after a crash")
    return table(head, [(*_peer(one), one["after_crash"]) for one in figures])


def _peer(one: dict[str, Any]) -> tuple[str, ...]:
    name = one["name"] + ("" if one["same_question"] else " (answers another question)")
    if one.get("problem"):
        return (name, "-", f"did not run: {one['problem']}", "", "", "", "")
    return (
        name,
        f"{one['speed_of_detector']:.2f}" if one["speed_of_detector"] is not None else "-",
        f"{one['payments_per_s']:,}",
        f"{one['median_s']:.1f}",
        f"{one['payments']:,}",
        f"{one['resident_mib']:,}",
        "-" if one["state_mib"] is None else f"{one['state_mib']:.1f}",
    )


def growth_table(figures: Figures) -> str:
    """Payments per second by size, a column for each program."""
    names = list(dict.fromkeys(one["name"] for one in figures))
    labels = {"users": "{:,} users", "per_hour": "{:,} payments of a user an hour"}
    rows: dict[str, dict[str, str]] = {}
    for one in figures:
        row = rows.setdefault(labels[one["what"]].format(one["size"]), {})
        row[one["name"]] = f"{one['payments_per_s']:,}" if "payments_per_s" in one else one["problem"]
    return table(("payments/s", *names), [(size, *(row.get(name, "") for name in names)) for size, row in rows.items()])


def stages_table(figures: Figures) -> str:
    """p50 and p99 of each stage in ms, by rate."""
    stages = list(figures[0]["stages"]) if figures else []
    rows = []
    for one in figures:
        of = one["stages"]
        cells = (f"{of[stage]['p50_ms']} / {of[stage]['p99_ms']}" if stage in of else "-" for stage in stages)
        waits = "the connectors'" if one.get("learner") else "ours"
        rows.append((waits, f"{one['rate_per_s']:,.0f}", f"{one['payments_per_s']:,.0f}", *cells))
    return table(("waits", "asked for /s", "paid /s", *(f"{stage}, p50 / p99 ms" for stage in stages)), rows)


def drain_table(figures: Figures) -> str:
    """A backlog, cold and warm; then on what the processors' time went."""
    head = ("", "payments/s", "s in all", "captured s", "joined s", "judged s", "first record after s", "failures")
    drains = table(
        head,
        [
            (
                one["what"],
                f"{one['payments_per_s']:,}",
                *(f"{one[name]:.1f}" for name in ("seconds", "captured_s", "joined_s", "judged_s")),
                "-" if one["first_record_after_s"] is None else f"{one['first_record_after_s']:.1f}",
                str(one["failures"]),
            )
            for one in figures
        ],
    )
    return f"{drains}\n\n{processor_table(figures)}"


def processor_table(figures: Figures) -> str:
    """Microseconds of a processor for a payment, by part; those that used most on the warm system first."""
    used = [one["processor_us"] for one in figures]
    rows = [(part, *(f"{one.get(part, 0):,}" for one in used)) for part in used[-1]]
    total = ("in all", *(f"{sum(one.values()):,}" for one in used))
    return table(("µs of a processor for a payment", *(one["what"] for one in figures)), [total, *rows])


def capture_table(figures: Figures) -> str:
    """A snapshot and a binlog."""
    return table(
        ("", "payments/s", "s", "payments"),
        [
            (one["what"], f"{one['payments_per_s']:,}", f"{one['seconds']:.1f}", f"{one['payments']:,}")
            for one in figures
        ],
    )


def course_table(figures: Figures) -> str:
    """What a learner waits for."""
    return table(
        ("", ""),
        [(one["what"], f"{one['seconds']:.1f} s" if "seconds" in one else f"{one['mib']:,} MiB") for one in figures],
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


TABLES: dict[str, Callable[[Figures], str]] = {
    "peers": peers_table,
    "growth": growth_table,
    "stages": stages_table,
    "drain": drain_table,
    "capture": capture_table,
    "course": course_table,
}
