"""What every peer gets and does: the task on standard input, and the rule's arithmetic. Plain Python, for any environment.

Payments of a user come in order of event time here, and none twice: these programs rely on it, the detector does not.
"""

import json
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Payment = list[Any]
"""Event time in ms, EUR cents, country."""


@dataclass(frozen=True)
class Task:
    """`kafka` is what librdkafka takes; `count` is the number of records in `source`; `rates` are EUR per unit times `rate_scale`."""

    kafka: dict[str, str]
    source: str
    sink: str
    count: int
    folder: str
    rates: dict[str, int]
    rate_scale: int
    window_ms: int
    threshold_eur_cents: int
    min_countries: int

    def judged(self, hour: list[Payment], record: dict[str, Any]) -> tuple[list[Payment], dict[str, Any] | None]:
        """A user's hour with one more payment, and what is written of it: None if it is not suspicious."""
        payment = [
            round(datetime.fromisoformat(record["transaction_time"]).timestamp() * 1000),
            self._cents(record["transaction_amount"], record["transaction_currency"]),
            record["transaction_country"],
        ]
        start_ms = payment[0] - self.window_ms
        hour = [*(one for one in hour if one[0] > start_ms), payment]
        return hour, self._found(record["transaction_id"], hour)

    def _cents(self, amount: str, currency: str) -> int:
        """An amount such as `12.30` in EUR cents, rounded half up."""
        hundredths = int(amount[:-3] + amount[-2:])
        return (2 * hundredths * self.rates[currency] + self.rate_scale) // (2 * self.rate_scale)

    def _found(self, transaction_id: int, hour: list[Payment]) -> dict[str, Any] | None:
        countries = {country for _, _, country in hour}
        if len(countries) < self.min_countries:
            return None
        total = sum(cents for _, cents, _ in hour)
        if total < self.threshold_eur_cents:
            return None
        return {
            "transaction_id": transaction_id,
            "total_amount_eur": f"{total // 100}.{total % 100:02}",
            "countries": len(countries),
        }


def ready() -> Task:
    """The task. Says that the program has been loaded: its time starts now."""
    task = Task(**json.load(sys.stdin))
    print("ready", flush=True)
    return task
