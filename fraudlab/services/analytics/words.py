"""Numbers, times and countries as people read them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from fraudlab.services.analytics.geography import country_name

NOTHING = "—"


def number(value: int | None) -> str:
    """`12,345`; a dash where there is none."""
    return NOTHING if value is None else f"{value:,}"


def rate(per_second: float) -> str:
    """`0.4`, `199`."""
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.1f}"


def duration(milliseconds: int | None) -> str:
    """`13 ms`, `1.2 s`, `4 min`; a dash where there is none."""
    if milliseconds is None:
        return NOTHING
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    if milliseconds < 120_000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds // 60_000:,} min"


def euros(amount: Decimal) -> str:
    """`1,234 €`."""
    return f"{amount:,.0f} €"


def clock(moment_ms: int) -> str:
    """The time of day on this machine, `14:03:05`."""
    return datetime.fromtimestamp(moment_ms / 1000, UTC).astimezone().strftime("%H:%M:%S")


def share(found: int, of: int) -> str:
    """`98 %`; a dash of nothing."""
    return f"{100 * found / of:.0f} %" if of else NOTHING


def countries(codes: Iterable[str]) -> str:
    """`France, Germany and Poland`."""
    *others, last = [country_name(code) for code in codes] or [NOTHING]
    return f"{', '.join(others)} and {last}" if others else last


def person(name: str, user_id: int) -> str:
    """The name, or the number of a user without one."""
    return name or f"user {user_id}"
