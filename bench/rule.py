"""What one payment costs the rule and the detector, for users who paid little and users who paid 10,000 times within the hour.

`python bench/rule.py --against FOLDER` measures another checkout in turn with this one, and gives the ratios: seconds are those of this
machine, ratios compare. No stack is needed. Another user's alert waits at most for what the detector takes here for one record.
"""

import argparse
import json
import os
import subprocess
import sys
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
MINUTE_MS = 60_000
ROUNDS = 5
FEW_S = 0.3
CASES = {
    # name: (payments before, minutes between them, countries, cents of each, of the one measured: minutes after the last, cents)
    "one country, 7 payments": (40, 12, "DE", 100, 12, 100),
    "two countries, 7 payments": (40, 12, "DE DE DE DE FR", 100, 12, 100),
    "one country, 10,000 payments": (10_000, 0.005, "DE", 100, 1, 100),
    "two countries, 10,000 payments": (10_000, 0.005, "DE FR", 1, 1, 1),
    "… the hour is suspicious": (10_000, 0.005, "DE FR", 1, 1, 100_000),
    "… sent again": (10_000, 0.005, "DE FR", 1, None, 1),
    "one country, 10,000 payments, late": (10_000, 0.005, "DE", 100, -28, 100),
    "two countries, 10,000 payments, late": (10_000, 0.005, "DE FR", 1, -28, 1),
    "… 5,600 hours after it become suspicious": (10_000, 0.005, "DE FR", 1, -28, 100_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure()))
        return
    checkouts = [HERE.parents[1], *([arguments.against.resolve()] if arguments.against else [])]
    rounds: list[list[dict[str, list[float]]]] = [[] for _ in checkouts]
    for _ in range(ROUNDS if arguments.against else 1):
        for checkout, figures in zip(checkouts, rounds, strict=True):
            figures.append(measure_in(checkout))
    print(f"{'':44}{'rule':>12}{'detector':>12}" + ("   of the other: rule, detector" if arguments.against else ""))
    for case in CASES:
        ours, *other = [[min(one[case][part] for one in figures) for part in (0, 1)] for figures in rounds]
        ratios = "".join(f"{own / theirs:>10.2f}" for own, theirs in zip(ours, *other, strict=True)) if other else ""
        print(f"{case:44}" + "".join(f"{own * 1e6:>9,.1f} µs" for own in ours) + ratios)


def measure_in(checkout: Path) -> dict[str, list[float]]:
    """The figures of a checkout, measured in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    command = [sys.executable, "-P", str(HERE), "--measure"]
    done = subprocess.run(command, env=environment, cwd=checkout, check=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout))


def measure() -> dict[str, list[float]]:
    """Seconds that a payment takes in the rule, and its record in the detector, by case: the least of many attempts."""
    return {name: measure_case(*case) for name, case in CASES.items()}


def measure_case(
    before: int, gap_minutes: float, countries: str, cents: int, after_minutes: float | None, its_cents: int
) -> list[float]:
    from fraudlab.pipeline.contracts import Names
    from fraudlab.pipeline.detector import FraudDetector
    from fraudlab.pipeline.rule import Payment, Rule, judge  # type: ignore[attr-defined]
    from fraudlab.pipeline.state import UserState

    rule, codes, history = Rule(), countries.encode().split(), b""
    times_ms = [NOON_MS + round(number * gap_minutes * MINUTE_MS) for number in range(before)]
    for number, time_ms in enumerate(times_ms, start=1):
        history = judge(rule, history, Payment(time_ms, number, cents, codes[number % len(codes)])).history
    if after_minutes is None:
        payment = Payment(times_ms[before // 2 - 1], before // 2, its_cents, codes[0])
    else:
        payment = Payment(times_ms[-1] + round(after_minutes * MINUTE_MS), before + 1, its_cents, codes[0])
    flink = Flink()
    UserState(flink).update((history, ()))
    flink.kept, detector = flink.written, FraudDetector(rule, Names())
    detector.open(flink)
    record = f"0:1:{json.dumps(record_of(payment))}"
    return [
        least(lambda: judge(rule, history, payment)),
        least(lambda: [None for _ in detector.process_element(record, flink)]),
    ]


class Flink:
    """What the detector sees of Flink: a state that stays the same, so that each attempt begins alike, a clock and timers."""

    kept = written = None

    def get_state(self, _descriptor: object) -> "Flink":
        return self

    def value(self) -> Any:
        return self.kept

    def update(self, value: Any) -> None:
        self.written = value

    def timer_service(self) -> "Flink":
        return self

    def current_processing_time(self) -> int:
        return NOON_MS

    def register_processing_time_timer(self, _at_ms: int) -> None:
        pass


NOON_MS = 1_767_268_800_000  # 2026-01-01T12:00:00Z


def record_of(payment: Any) -> dict[str, Any]:
    """A payment as `transaction_mid` has it."""
    from fraudlab.pipeline.records import iso

    return {
        "transaction_id": payment.transaction_id,
        "user_id": 7,
        "user_suspicious_activity": False,
        "transaction_amount": f"{payment.amount_eur_cents // 100}.{payment.amount_eur_cents % 100:02}",
        "transaction_currency": "EUR",
        "transaction_country": payment.country.decode(),
        "transaction_time": iso(payment.time_ms),
        "created_at": iso(payment.time_ms),
    }


def least(attempt: Callable[[], object]) -> float:
    """Seconds of the quickest of the attempts that fit into FEW_S, of three at least: the machine may be busy."""
    timer = timeit.Timer(attempt)
    number = max(1, round(0.001 / max(timer.timeit(1), 1e-6)))
    seconds: list[float] = []
    while len(seconds) < 3 or sum(seconds) * number < FEW_S:
        seconds.append(timer.timeit(number) / number)
    return min(seconds)


if __name__ == "__main__":
    main()
