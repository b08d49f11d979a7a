"""What is sent: the text of a notification for each channel, from templates, in a person's own time zone and currency."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import NamedTuple

import jinja2
from babel import Locale
from babel.dates import format_date, format_datetime, format_time
from babel.lists import format_list
from babel.numbers import format_currency

from fraudlab.pipeline.contracts import EUR_RATE_SCALE, eur_rates
from fraudlab.services.notifier.activity import Activity
from fraudlab.services.notifier.region import Region, region_of
from fraudlab.services.notifier.untrusted_text import isolated, one_line

MAX_PAYMENTS = 20
"""So many payments are listed, the newest ones."""


class ListedPayment(NamedTuple):
    """A payment of the suspicious hour, as the bank stored it; `time` is UTC, with or without a time zone."""

    time: datetime
    amount: Decimal
    currency: str
    country: str
    merchant: str


@dataclass(frozen=True, slots=True)
class Recipient:
    """To whom, as the person's profile has it: harmless for a header, yet not checked to be an address."""

    user_id: int
    name: str
    email: str
    phone_number: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message ready to be sent. `message_id` is the same however often it is tried, and so is `created_at` (UTC)."""

    message_id: str
    created_at: datetime
    recipient: Recipient
    subject: str
    text: str
    html: str
    """Empty for a push message."""


def compose(
    channel: str,
    activity: Activity,
    payments: list[ListedPayment],
    home_country: str | None,
    message_id: str,
    created_at: datetime,
) -> Message:
    """The message of a channel (`email`, `push`) about an activity.

    Args:
        channel: Which templates to use.
        activity: What happened.
        payments: The payments of its hour, as far as they are still there.
        home_country: ISO 3166-1 alpha-2; None or unknown gives UTC and EUR.
        message_id: What tells this message from all others.
        created_at: When it was decided to send it, UTC.
    """
    region = region_of(home_country)
    name = one_line(f"{activity.first_name} {activity.last_name}")
    values = {
        "name": name,
        "language": str(region.locale).replace("_", "-"),
        "when": _moment(activity.window_end, region),
        "time": format_time(activity.window_end, "short", tzinfo=region.zone, locale=region.locale),
        "where": format_list([_country(one, region.locale) for one in activity.countries], locale=region.locale),
        "total": _total(activity.total_eur, region),
        "payments": [_row(one, region) for one in sorted(payments)[-MAX_PAYMENTS:]],
        "left_out": max(0, activity.transaction_count - min(len(payments), MAX_PAYMENTS)),
    }
    templates = _templates()
    return Message(
        message_id=message_id,
        created_at=created_at,
        recipient=Recipient(activity.user_id, name, activity.email, activity.phone_number),
        subject=one_line(templates.get_template(f"{channel}-subject.txt").render(values)),
        text=templates.get_template(f"{channel}.txt").render(values),
        html=templates.get_template("email.html").render(values) if channel == "email" else "",
    )


def _row(payment: ListedPayment, region: Region) -> dict[str, str]:
    at = payment.time if payment.time.tzinfo else payment.time.replace(tzinfo=UTC)
    return {
        "time": format_datetime(at, "medium", tzinfo=region.zone, locale=region.locale),
        "merchant": one_line(payment.merchant) or "unknown merchant",
        "country": _country(payment.country, region.locale),
        "amount": _money(payment.amount, payment.currency, region.locale),
    }


def _moment(at: datetime, region: Region) -> str:
    date = format_date(at.astimezone(region.zone), "long", locale=region.locale)
    time = format_time(at, "short", tzinfo=region.zone, locale=region.locale)
    return f"{date}, {time} ({region.zone_name})"


def _total(eur: Decimal, region: Region) -> str:
    """An amount in EUR, and about how much it is in the person's own currency by the project's table."""
    if region.currency == "EUR":
        return _money(eur, "EUR", region.locale)
    own = eur * EUR_RATE_SCALE / eur_rates()[region.currency]
    return f"{_money(eur, 'EUR', region.locale)} (about {_money(own, region.currency, region.locale)})"


def _money(amount: Decimal, currency: str, locale: Locale) -> str:
    return str(format_currency(amount, one_line(currency), locale=locale))


def _country(code: str, locale: Locale) -> str:
    return locale.territories.get(code) or one_line(code)


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fraudlab.services.notifier"),
        autoescape=jinja2.select_autoescape(["html"], default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["isolated"] = isolated
    return environment
