"""The .sql files of the pipeline, statement by statement."""

from collections.abc import Mapping
from importlib import resources
from string import Template

from fraudlab.pipeline.contracts import EUR_RATE_SCALE, eur_rates


def statements(file: str, values: Mapping[str, object]) -> list[str]:
    """The statements of a file in `fraudlab/pipeline/sql`, with `${name}` filled in; they end with a line that holds only `//`."""
    text = resources.files("fraudlab.pipeline").joinpath("sql", file).read_text(encoding="utf-8")
    return fill(text, values)


def fill(text: str, values: Mapping[str, object]) -> list[str]:
    """The statements of a text in the form of those files."""
    filled = Template(text).substitute(values)
    return [statement.strip() for statement in filled.split("\n//") if statement.strip()]


def eur_rate_cases() -> str:
    """The table of exchange rates as the `WHEN … THEN …` of a CASE over a currency's code: EUR per unit, DECIMAL(10, 8)."""
    return " ".join(
        f"WHEN '{currency}' THEN CAST({rate // EUR_RATE_SCALE}.{rate % EUR_RATE_SCALE:08} AS DECIMAL(10, 8))"
        for currency, rate in eur_rates().items()
    )
