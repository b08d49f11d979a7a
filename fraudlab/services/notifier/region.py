"""What a person is used to, by home country: how dates and amounts are written, the capital's time zone, the currency."""

from dataclasses import dataclass
from functools import cache
from zoneinfo import ZoneInfo

from babel import Locale, localedata
from babel.core import get_global
from babel.numbers import get_territory_currencies

from fraudlab.pipeline.contracts import eur_rates

CAPITAL_ZONES = {
    "AQ": "Antarctica/McMurdo",
    "AR": "America/Argentina/Buenos_Aires",
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "CD": "Africa/Kinshasa",
    "CL": "America/Santiago",
    "CN": "Asia/Shanghai",
    "CY": "Asia/Nicosia",
    "DE": "Europe/Berlin",
    "EC": "America/Guayaquil",
    "ES": "Europe/Madrid",
    "FM": "Pacific/Pohnpei",
    "GL": "America/Nuuk",
    "ID": "Asia/Jakarta",
    "KI": "Pacific/Tarawa",
    "KZ": "Asia/Almaty",
    "MH": "Pacific/Majuro",
    "MN": "Asia/Ulaanbaatar",
    "MX": "America/Mexico_City",
    "MY": "Asia/Kuala_Lumpur",
    "NZ": "Pacific/Auckland",
    "PF": "Pacific/Tahiti",
    "PG": "Pacific/Port_Moresby",
    "PS": "Asia/Hebron",
    "PT": "Europe/Lisbon",
    "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv",
    "UM": "Pacific/Wake",
    "US": "America/New_York",
    "UZ": "Asia/Tashkent",
}
"""Of the countries that Unicode's CLDR gives several zones: the one of the capital, or of most of the people."""

ENGLISH = "en_GB"


@dataclass(frozen=True, slots=True)
class Region:
    """`locale` is English as it is written there, or in Britain; `currency` is one of the project's table of rates."""

    locale: Locale
    zone: ZoneInfo
    zone_name: str
    currency: str


@cache
def region_of(country: str | None) -> Region:
    """The home of somebody from a country (ISO 3166-1 alpha-2): of one that is unknown, UTC and EUR."""
    zones = _zones().get(country or "", [])
    zone = CAPITAL_ZONES.get(country or "") or (zones[0] if len(zones) == 1 else "UTC")
    currencies = [one for one in get_territory_currencies(country or "ZZ") if one in eur_rates()]
    return Region(
        locale=_english(country), zone=ZoneInfo(zone), zone_name=_city(zone), currency=(currencies or ["EUR"])[0]
    )


def _city(zone: str) -> str:
    return "UTC" if zone == "UTC" else f"{zone.rpartition('/')[2].replace('_', ' ')} time"


def _english(country: str | None) -> Locale:
    own = f"en_{country}"
    return Locale.parse(own if localedata.exists(own) else ENGLISH)


@cache
def _zones() -> dict[str, list[str]]:
    zones: dict[str, list[str]] = {}
    for zone, country in get_global("zone_territories").items():
        zones.setdefault(country, []).append(zone)
    return zones
