"""How the time for the same number of payments grows with the number of users, and with the payments of one user in an hour."""

from pathlib import Path
from typing import Any

from rich.console import Console

from bench.throughput import DETECTOR, Topic, as_json, contestants
from bench.throughput import measure as compare
from bench.topic import PER_HOUR, fill_topic
from fraudlab.settings import Settings

USERS = (1_000, 10_000, 100_000, 1_000_000)
PER_USER = (10, 100, 1_000, 10_000)
COMPARED = (DETECTOR, "Flink SQL OVER window", "Quix Streams")


def measure(settings: Settings, home: Path, console: Console, count: int) -> list[dict[str, Any]]:
    """Each of the compared over `count` payments of ever more users, and of ever fewer that pay ever more often, once each."""
    cases = [("users", users, users, PER_HOUR) for users in USERS]
    # An hour and a bit of payments: as many users as make that many.
    cases += [("per_hour", rate, max(1, count // rate), float(rate)) for rate in PER_USER]
    figures = []
    for what, size, users, per_hour in cases:
        topics = [Topic(fill_topic(settings, console, part, users, per_hour), part) for part in (count // 10, count)]
        competing = [one for one in contestants(settings, home, console.print) if one.name in COMPARED]
        compare(settings, competing, topics, 1, console.print)
        figures += [{"what": what, "size": size, **one} for one in as_json(competing)]
    return figures
