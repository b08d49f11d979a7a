"""`fraudlab demo` as people run it: it ends by itself or with Ctrl-C, with the same summary, report and exit status."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from fraudlab.stack.layout import Layout
from fraudlab.stack.supervisord import end_processes, marked_processes
from tests.support.home import outside_pytest, read_until
from tests.support.lab import Lab
from tests.support.waiting import eventually, patient

BANK = ("--rate", "100", "--users", "300")


@contextmanager
def demo(*options: str) -> Iterator["subprocess.Popen[str]"]:
    """The running demo, without a terminal."""
    command = [str(Path(sys.executable).with_name("fraudlab")), "demo", *BANK, *options]
    with subprocess.Popen(
        command, env=outside_pytest(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def generators(lab: Lab) -> list[psutil.Process]:
    """The banks that `fraudlab down` would end."""
    own = marked_processes(Layout(lab.settings.home).home)
    return [process for process in own if "data_generator" in process.cmdline()]


def test_a_demo_ends_by_itself_with_a_report(lab: Lab) -> None:
    path = lab.settings.home / "demo-report.json"
    path.unlink(missing_ok=True)
    with demo("--seconds", "8") as process:
        said, _ = process.communicate(timeout=patient(120))
    assert process.returncode == 0, said
    assert "EXACT: nothing missing, nothing extra, nothing twice." in said
    report = json.loads(path.read_text(encoding="utf-8"))
    assert list(report) == [
        "counts",
        "latency_ms",
        "resident_mib",
        "setup_s",
        "first_activity_s",
        "own_fraud",
        "seconds",
        "rate",
        "generator",
        "verify",
    ]
    counts, verdict = report["counts"], report["verify"]
    assert verdict["exact"]
    assert verdict["missing"] == verdict["extra"] == verdict["duplicate"] == []
    own = report["own_fraud"]
    # What the bank tried, and two payments or more of the demo's own thief, of which the last one was refused.
    assert counts["payments"] >= report["generator"]["inserted"] + 2 > 400  # 8 s at 100/s, refused ones not counted
    assert counts["payments_refused"] >= report["generator"]["declined"] + 1
    assert min(own["after_ms"].values()) >= 0
    assert own["caught_s"] > 0
    assert said.count("The demo commits a fraud itself") == 1
    for step in ("Payment:", "Activity after", "Flag after", "E-mail after", "Push after", "Refusal after"):
        assert step in said
    assert min(counts["transactions_records"], counts["transaction_mid_records"]) >= counts["payments"]
    assert counts["activities"] >= counts["accounts_stopped"] > 0
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p99"] <= report["latency_ms"]["max"]
    assert report["first_activity_s"] > 0
    assert report["seconds"] >= 8
    assert report["resident_mib"] > 1000
    assert generators(lab) == []


@pytest.mark.slow
def test_a_second_demo_on_the_same_data_is_exact_too_and_waits_for_its_own_fraud_however_short_it_is(lab: Lab) -> None:
    with demo("--seconds", "1") as process:
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "Refusal after" in said
    assert "EXACT: nothing missing, nothing extra, nothing twice." in said


def test_ctrl_c_ends_a_demo_with_the_same_summary(lab: Lab) -> None:
    path = lab.settings.home / "demo-report.json"
    path.unlink(missing_ok=True)
    with demo("--seconds", "600") as process:
        read_until(process, "Refusal after")
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=patient(60))
    assert process.returncode == 0, said
    assert "EXACT: nothing missing, nothing extra, nothing twice." in said
    assert "The demo in numbers" in said
    assert json.loads(path.read_text(encoding="utf-8"))["generator"]["interrupted"]


@pytest.mark.slow
def test_the_bank_of_a_killed_demo_is_ended_by_down(lab: Lab) -> None:
    with demo("--seconds", "600") as process:
        eventually(lambda: bool(generators(lab)), "the bank pays")
        process.kill()
        process.wait()
        banks = generators(lab)
        assert banks, "it goes on, as one of the processes that `fraudlab down` ends"
        end_processes(banks, patience_s=30)
