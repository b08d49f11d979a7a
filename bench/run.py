"""`make bench`: everything side by side, on a system of its own. Writes docs/performance.json, the tables of docs/performance.md and plots.

`--only` measures some parts, and leaves the figures of the others as they are.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import capture, course, drain, growth, machine, stages, throughput
from bench.pages import write
from bench.topic import fill_topic
from fraudlab import system
from fraudlab.course.workspace import Workspace
from fraudlab.errors import UserError
from fraudlab.settings import REPOSITORY, Settings
from fraudlab.stack import second_stack
from fraudlab.stack.supervisor import Stack

FIGURES = REPOSITORY / "docs" / "performance.json"
USERS = 20_000
RATES = (50.0, 200.0, 500.0, 1_000.0)
WARM_UP_S = 60.0
"""How long the bank pays at the highest rate before latencies are measured: at first they are those of the JVM's compilers."""
DEFAULTS = "defaults"
"""The learner whose jobs have the waits that their connectors come with."""
PARTS = ("peers", "growth", "capture", "drain", "stages", "course")

console = Console(highlight=False, soft_wrap=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--payments", type=int, default=1_000_000, help="that the peers judge")
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each peer")
    parser.add_argument("--seconds", type=float, default=45.0, help="how long each rate is measured")
    parser.add_argument("--backlog", type=int, default=drain.PAYMENTS)
    parser.add_argument(
        "--output", type=Path, default=FIGURES, help="the JSON; the documents change only with the default"
    )
    arguments = parser.parse_args()
    shared = Settings()
    if Stack(shared).is_running():
        console.print("The lab's own system runs and takes part of the machine: `fraudlab down` gives truer figures.")
    os.environ.update(second_stack.environment(shared, "bench", console.print))
    settings = Settings()
    stack = Stack(settings, console.print)
    figures = json.loads(arguments.output.read_text(encoding="utf-8")) if arguments.output.exists() else {}
    began = time.monotonic()
    try:
        # Detector and peers first: the pipeline's own jobs and services do not run yet.
        stack.install()
        stack.start()
        os.environ.update(stack.client_environment())
        for part in PARTS:
            if part in arguments.only:
                console.rule(part)
                if part in ("stages", "drain"):
                    system.up(settings, console.print)
                figures[part] = {"machine": machine.describe(), "figures": MEASURE[part](settings, shared, arguments)}
                arguments.output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
                console.print(f"{part} is done after {(time.monotonic() - began) / 60:.1f} min in all")
    except UserError as error:
        sys.exit(f"{error}\nNext: {error.advice}")
    finally:
        stack.stop()
    if arguments.output == FIGURES:
        write(figures, shared.home, console.print)
    console.print(f"Figures are in {arguments.output}. Ratios compare; seconds are those of this machine.")


def peers(settings: Settings, shared: Settings, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The detector and its peers over the same payments."""
    counts = (max(1, arguments.payments // 100), max(1, arguments.payments // 10), arguments.payments)
    topics = [throughput.Topic(fill_topic(settings, console, count, USERS), count) for count in counts]
    competing = throughput.contestants(settings, shared.home, console.print)
    throughput.measure(settings, competing, topics, arguments.runs, console.print)
    return throughput.as_json(competing)


def stages_by_rate(settings: Settings, shared: Settings, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Latency stage by stage, at each rate, with the pipeline's waits and then with those that its connectors come with."""
    # a port for their dashboard: no JupyterLab runs here
    defaults = settings.model_copy(update={"learner": DEFAULTS, "dashboard_port": settings.jupyter_port})
    figures = at_each_rate(settings, arguments.seconds)
    with stages.as_the_connectors_come():
        system.up(defaults, console.print)
    figures += at_each_rate(defaults, arguments.seconds)
    Workspace(defaults).reset()
    return figures


def at_each_rate(settings: Settings, seconds: float) -> list[dict[str, Any]]:
    """Latencies on a pipeline whose code is compiled: what is measured first is not kept."""
    console.print("to warm up:")
    stages.measure(settings, max(RATES), WARM_UP_S, say=console.print)
    return [stages.measure(settings, rate, seconds, say=console.print) for rate in RATES]


def drains(settings: Settings, shared: Settings, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A backlog, cold and warm."""
    return drain.measure(settings, arguments.backlog, drain.USERS, warm=True, say=console.print)


def captures(settings: Settings, shared: Settings, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """CDC ingestion alone."""
    return capture.measure(settings, arguments.backlog, drain.USERS, say=console.print)


def waits_of_a_learner(settings: Settings, shared: Settings, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """What a learner waits for."""
    return course.measured(settings, console.print)


def growths(settings: Settings, shared: Settings, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """With more users, and with more payments of each."""
    return growth.measure(settings, shared.home, console, arguments.payments // 5)


MEASURE: dict[str, Callable[[Settings, Settings, argparse.Namespace], list[dict[str, Any]]]] = {
    "peers": peers,
    "growth": growths,
    "capture": captures,
    "course": waits_of_a_learner,
    "stages": stages_by_rate,
    "drain": drains,
}

if __name__ == "__main__":
    main()
