"""The world as the map shows it: where land is, where countries are, and what they are called in English."""

import csv
from functools import cache
from importlib import resources

from babel import Locale

WEST, EAST, SOUTH, NORTH = -170.0, 180.0, -56.0, 80.0
"""Degrees that the map shows. A degree of latitude is as long as one of longitude."""
STEP = 2.0
"""Degrees between two dots of land."""


@cache
def land() -> str:
    """The land as an SVG picture of dots, drawn from land.txt: a character for every two degrees, `#` for land."""
    rows = resources.files(__package__).joinpath("land.txt").read_text(encoding="ascii").split()
    dots = "".join(
        f"M{column} {row}h0" for row, line in enumerate(rows) for column, sign in enumerate(line) if sign == "#"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-0.5 -0.5 {len(rows[0])} {len(rows)}">'
        f'<path d="{dots}" fill="none" stroke="#000" stroke-width="0.62" stroke-linecap="round"/></svg>'
    )


@cache
def positions() -> dict[str, tuple[float, float]]:
    """Where the middle of a country is, roughly: longitude and latitude in degrees, by ISO 3166-1 alpha-2 code."""
    text = resources.files(__package__).joinpath("country_positions.csv").read_text(encoding="ascii")
    return {
        row["country"]: (float(row["longitude"]), float(row["latitude"])) for row in csv.DictReader(text.splitlines())
    }


@cache
def country_name(code: str) -> str:
    """A country's English name; the code itself where there is none."""
    return str(Locale("en").territories.get(code, code))
