"""Where the bank's customers live: locale, currency, nearby countries, and rough exchange rates."""

from dataclasses import dataclass
from decimal import Decimal

EUR_PER_UNIT: dict[str, Decimal] = {
    "EUR": Decimal("1"),
    "USD": Decimal("0.92"),
    "GBP": Decimal("1.17"),
    "CHF": Decimal("1.05"),
    "PLN": Decimal("0.23"),
    "CZK": Decimal("0.04"),
    "HUF": Decimal("0.0025"),
    "RON": Decimal("0.20"),
    "SEK": Decimal("0.088"),
    "NOK": Decimal("0.086"),
    "DKK": Decimal("0.134"),
    "TRY": Decimal("0.027"),
    "UAH": Decimal("0.022"),
    "BRL": Decimal("0.17"),
    "JPY": Decimal("0.0061"),
    "KRW": Decimal("0.00067"),
    "CNY": Decimal("0.127"),
    "INR": Decimal("0.011"),
    "THB": Decimal("0.026"),
    "AED": Decimal("0.25"),
    "ILS": Decimal("0.25"),
}
"""EUR per unit of each currency: only the size of amounts depends on it, the detector has its own table."""

WHOLE_UNIT_CURRENCIES = frozenset({"JPY", "KRW"})
"""Currencies whose amounts have no fraction."""


@dataclass(frozen=True, slots=True)
class Country:
    """A home country.

    `locale` names people and merchants; `phone_locale` makes telephone numbers where faker has none for `locale`.
    `nearby` are the countries that a shopper reaches within the hour, by road or in an online shop.
    """

    code: str
    locale: str
    currency: str
    nearby: tuple[str, ...]
    phone_locale: str | None = None


COUNTRIES: dict[str, Country] = {
    country.code: country
    for country in (
        Country("PL", "pl_PL", "PLN", ("DE", "CZ", "UA")),
        Country("DE", "de_DE", "EUR", ("PL", "CZ", "FR", "CH", "DK", "NL")),
        Country("FR", "fr_FR", "EUR", ("DE", "ES", "IT", "CH")),
        Country("GB", "en_GB", "GBP", ("FR", "NL")),
        Country("ES", "es_ES", "EUR", ("FR", "PT")),
        Country("PT", "pt_PT", "EUR", ("ES",)),
        Country("IT", "it_IT", "EUR", ("FR", "CH")),
        Country("NL", "nl_NL", "EUR", ("DE",)),
        Country("CH", "de_CH", "CHF", ("DE", "FR", "IT")),
        Country("CZ", "cs_CZ", "CZK", ("DE", "PL")),
        Country("HU", "hu_HU", "HUF", ("RO", "UA")),
        Country("RO", "ro_RO", "RON", ("HU", "UA")),
        Country("UA", "uk_UA", "UAH", ("PL", "HU", "RO")),
        Country("GR", "el_GR", "EUR", ("TR",)),
        Country("TR", "tr_TR", "TRY", ("GR",)),
        Country("SE", "sv_SE", "SEK", ("NO", "DK", "FI")),
        Country("NO", "no_NO", "NOK", ("SE",)),
        Country("DK", "da_DK", "DKK", ("SE", "DE")),
        Country("FI", "fi_FI", "EUR", ("SE", "NO")),
        Country("IL", "he_IL", "ILS", ("GR",)),
        Country("AE", "ar_AA", "AED", ("IN",), phone_locale="ar_AE"),
        Country("IN", "hi_IN", "INR", ("AE",)),
        Country("JP", "ja_JP", "JPY", ("KR",)),
        Country("KR", "ko_KR", "KRW", ("JP",)),
        Country("CN", "zh_CN", "CNY", ("KR",)),
        Country("TH", "th_TH", "THB", ("CN",)),
        Country("BR", "pt_BR", "BRL", ("PT",)),
        Country("US", "en_US", "USD", ("GB",)),
    )
}
"""Every home country by its ISO 3166-1 alpha-2 code."""

CODES: tuple[str, ...] = tuple(COUNTRIES)


def from_eur_cents(eur_cents: int, currency: str) -> int:
    """Hundredths of a currency worth at least `eur_cents`; whole units where the currency has no fraction."""
    hundredths = -int(-Decimal(eur_cents) // EUR_PER_UNIT[currency])
    if currency in WHOLE_UNIT_CURRENCIES:
        return -(-hundredths // 100) * 100
    return hundredths


def to_eur_cents(amount: Decimal, currency: str) -> int:
    """EUR cents of an amount, rounded down."""
    return int(amount * 100 * EUR_PER_UNIT[currency])
