"""Draws the plots of docs/performance.md as SVG. The argument is the folder to write to.

On standard input comes JSON: `figures`, and `titles`, what each plot shows for readers who do not see it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "fraudlab"  # the same figures make the same file
from matplotlib import pyplot  # noqa: E402 - after the backend was chosen

Figures = list[dict[str, Any]]


def main() -> None:
    folder = Path(sys.argv[1])
    given = json.load(sys.stdin)
    figures = given["figures"]
    for name, draw in {"peers": peers, "growth": growth, "stages": stages}.items():
        if figures.get(name, {}).get("figures"):
            draw(figures[name]["figures"])
            pyplot.tight_layout()
            pyplot.savefig(folder / f"performance-{name}.svg", metadata={"Date": None, "Title": given["titles"][name]})
            pyplot.close()


def peers(figures: Figures) -> None:
    ran = sorted(
        (one for one in figures if "payments_per_s" in one and one["same_question"]),
        key=lambda one: one["payments_per_s"],
    )
    pyplot.figure(figsize=(8, 0.5 * len(ran) + 1))
    bars = pyplot.barh([one["name"] for one in ran], [one["payments_per_s"] for one in ran], color="#3b6ea5")
    pyplot.bar_label(bars, [f"{one['payments_per_s']:,}" for one in ran], padding=3)
    pyplot.xlabel("payments per second, one task or process")
    pyplot.margins(x=0.15)


def growth(figures: Figures) -> None:
    _, axes = pyplot.subplots(1, 2, figsize=(9, 3.5), sharey=True)
    titles = {"users": "users", "per_hour": "payments of a user in an hour"}
    for axis, (what, title) in zip(axes, titles.items(), strict=True):
        for name in dict.fromkeys(one["name"] for one in figures):
            ran = [one for one in figures if one["what"] == what and one["name"] == name and "payments_per_s" in one]
            axis.plot([one["size"] for one in ran], [one["payments_per_s"] for one in ran], "o-", label=name)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel(title)
    axes[0].set_ylabel("payments per second")
    axes[0].legend(fontsize="small")


def stages(figures: Figures) -> None:
    pyplot.figure(figsize=(8, 3.5))
    for one in figures:
        if one["learner"]:
            continue  # with the connectors' waits: another scale
        names = list(one["stages"])
        (line,) = pyplot.plot(
            names, [one["stages"][name]["p50_ms"] for name in names], "o-", label=f"{one['payments_per_s']:,.0f}/s, p50"
        )
        pyplot.plot(
            names,
            [one["stages"][name]["p99_ms"] for name in names],
            "o--",
            color=line.get_color(),
            label=f"{one['payments_per_s']:,.0f}/s, p99",
        )
    pyplot.yscale("log")
    pyplot.ylabel("ms since the payment was stored")
    pyplot.xticks(rotation=20)
    pyplot.legend(fontsize="x-small", ncols=2)


if __name__ == "__main__":
    main()
