"""Numbers, times and countries as people read them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from fraudlab.services.analytics.geography import country_name

NOTHING = "—"

_MARKS_OF_DIRECTION = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])
_ISOLATE, _END_OF_ISOLATE = "\u2068", "\u2069"


def number(value: int | None) -> str:
    """`12,345`; a dash where there is none."""
    return NOTHING if value is None else f"{value:,}"


def counted(count: int, what: str) -> str:
    """`1 message`, `1,200 messages`."""
    return f"{number(count)} {what}" if count == 1 else f"{number(count)} {what}s"


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
    """The name, or the number of a user without one. It cannot turn the direction of the text after it."""
    return name.translate(_MARKS_OF_DIRECTION).strip() or f"user {user_id}"


def isolated(name: str) -> str:
    """For the middle of a sentence: a name written from right to left keeps to itself, so the words around it stay in order."""
    return name if name.isascii() else f"{_ISOLATE}{name}{_END_OF_ISOLATE}"
