"""What people buy: merchant types, how each is paid, and how large the amounts are."""

import math
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from random import Random

from data_generator.countries import COUNTRIES, EUR_PER_UNIT, WHOLE_UNIT_CURRENCIES, from_eur_cents


@dataclass(frozen=True, slots=True)
class MerchantType:
    """One type of merchant: `payment_type` goes to the column `type`; amounts are log-normal around the median."""

    name: str
    payment_type: str
    median_eur_cents: int
    sigma: float


GROCERIES, RESTAURANT, TRANSPORT, ONLINE, ELECTRONICS, TRAVEL, CASH, SUBSCRIPTION = range(8)

MERCHANT_TYPES: tuple[MerchantType, ...] = (
    MerchantType("groceries", "contactless", 2_200, 0.6),
    MerchantType("restaurant", "card_present", 2_800, 0.5),
    MerchantType("transport", "contactless", 450, 0.5),
    MerchantType("online", "online", 3_500, 0.8),
    MerchantType("electronics", "card_present", 18_000, 0.7),
    MerchantType("travel", "online", 21_000, 0.6),
    MerchantType("cash withdrawal", "atm", 8_000, 0.5),
    MerchantType("subscription", "recurring", 1_100, 0.3),
)

# One row a kind of customer, one column a merchant type: how often each pays for what.
HABITS: tuple[tuple[int, ...], ...] = (
    (40, 15, 20, 12, 2, 1, 7, 3),
    (25, 30, 25, 12, 2, 2, 2, 2),
    (30, 5, 5, 40, 5, 3, 2, 10),
    (55, 5, 5, 5, 1, 1, 25, 3),
    (20, 30, 15, 15, 5, 10, 3, 2),
)
_CUMULATIVE_HABITS = tuple(tuple(total / sum(row) for total in accumulate(row)) for row in HABITS)

_MEDIAN_HUNDREDTHS = {
    currency: tuple(from_eur_cents(merchant_type.median_eur_cents, currency) for merchant_type in MERCHANT_TYPES)
    for currency in EUR_PER_UNIT
}


def pick_merchant_type(rng: Random, habit: int) -> int:
    """The index in `MERCHANT_TYPES` of what a customer with this habit (index in `HABITS`) pays for next."""
    drawn = rng.random()
    for index, limit in enumerate(_CUMULATIVE_HABITS[habit]):
        if drawn < limit:
            return index
    return len(MERCHANT_TYPES) - 1


def draw_amount(rng: Random, merchant_type: int, country: str, level_percent: int) -> Decimal:
    """An everyday amount in the currency of `country`, two decimals; `level_percent` 100 is the median customer's."""
    currency = COUNTRIES[country].currency
    # The factor is drawn as a float and made an integer at once: no float touches the amount.
    thousandths = int(1000 * math.exp(MERCHANT_TYPES[merchant_type].sigma * rng.gauss(0.0, 1.0)))
    return _amount(_MEDIAN_HUNDREDTHS[currency][merchant_type] * thousandths * level_percent // 100_000, currency)


def amount_worth(eur_cents: int, country: str) -> Decimal:
    """The amount in the currency of `country` that is worth at least `eur_cents`."""
    currency = COUNTRIES[country].currency
    return _amount(from_eur_cents(eur_cents, currency), currency)


def _amount(hundredths: int, currency: str) -> Decimal:
    if currency in WHOLE_UNIT_CURRENCIES:
        hundredths = hundredths // 100 * 100
    return Decimal(max(hundredths, 100)).scaleb(-2)
