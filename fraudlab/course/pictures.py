"""Pictures of the learner's own data, as SVG with a text in their place."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from html import escape

LANE_HEIGHT = 34
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b")
WIDTH, HEIGHT, MARGIN = 760, 190, 40


def legible(colour: str) -> str:
    """A colour for text, in CSS: mixed with that of the text around it, so that it stands out in a light and in a dark notebook."""
    return f"color-mix(in srgb, {colour} 55%, currentColor)"


@dataclass(frozen=True)
class Picture:
    """An SVG image; `alternative` says the same in words, and is what text outputs and screen readers get."""

    svg: str
    alternative: str

    def __repr__(self) -> str:
        return self.alternative

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        # Not image/svg+xml: JupyterLab shows that as an image without a text in its place.
        return {"text/plain": self.alternative, "text/html": self.svg}


@dataclass(frozen=True, slots=True)
class Dot:
    """A payment as the picture shows it."""

    time: datetime
    country: str
    amount_eur: Decimal
    too_late: bool = False
    """Whether it came too late to count: it is drawn hollow, and is in no hour."""


def window(title: str, payments: Sequence[Dot], length: timedelta = timedelta(hours=1)) -> Picture:
    """A user's payments on a time line, with the hour to look at: of those that end with a payment the one with the most countries,
    and of these the one with the most money.

    A dot for each payment, coloured by country, higher for more money. The window is open at its beginning: a payment exactly one hour
    before its end is outside.
    """
    if not payments:
        return Picture("", f"{title}: no payment.")
    dots = sorted(payments, key=lambda dot: dot.time)

    def hour(end: datetime) -> list[Dot]:
        return [dot for dot in dots if end - length < dot.time <= end and not dot.too_late]

    end = max(
        (dot.time for dot in dots if not dot.too_late),
        key=lambda moment: (
            len({dot.country for dot in hour(moment)}),
            sum(dot.amount_eur for dot in hour(moment)),
            moment,
        ),
    )
    begin, inside = end - length, hour(end)
    first, last = begin - length / 2, end + length / 4
    shown = [dot for dot in dots if first < dot.time <= last]
    span = (last - first) / timedelta(seconds=1)
    countries = sorted({dot.country for dot in shown})
    colours = {country: COLOURS[index % len(COLOURS)] for index, country in enumerate(countries)}

    def x(moment: datetime) -> float:
        return MARGIN + (moment - first) / timedelta(seconds=1) / span * (WIDTH - 2 * MARGIN)

    total = sum((dot.amount_eur for dot in inside), Decimal(0))
    within = sorted({dot.country for dot in inside})
    alternative = (
        f"{title}: the hour until {end:%H:%M:%S} holds {len(inside)} of {len(dots)} payments, "
        f"{total:,.2f} EUR in {' and '.join(within)}."
    )
    said = f"one hour: {total:,.2f} EUR, {', '.join(within)}"
    parts = [
        f'<rect x="{x(begin):.0f}" y="46" width="{x(end) - x(begin):.0f}" height="78" rx="6" fill="#f5c542" '
        'fill-opacity=".25" stroke="#b8860b"/>',
        f'<text x="{(x(begin) + x(end)) / 2:.0f}" y="40" text-anchor="middle">{escape(said)}</text>',
        f'<line x1="{MARGIN}" y1="110" x2="{WIDTH - MARGIN}" y2="110" stroke="currentColor"/>',
    ]
    for moment in (begin, end):
        parts.append(f'<text x="{x(moment):.0f}" y="142" text-anchor="middle">{moment:%H:%M:%S}</text>')
    for dot in shown:
        parts.append(
            f'<circle cx="{x(dot.time):.0f}" cy="{110 - min(50, 8 + float(dot.amount_eur) / 40):.0f}" r="6" '
            f'fill="{"none" if dot.too_late else colours[dot.country]}" stroke="currentColor" '
            f'stroke-width="{1.6 if dot.too_late else 0.6}">'
            f"<title>{escape(f'{dot.country} {dot.amount_eur:,.2f} EUR at {dot.time:%H:%M:%S}{_late(dot)}')}</title></circle>"
        )
    for index, country in enumerate(countries):
        left = MARGIN + 60 * index
        parts.append(
            f'<circle cx="{left}" cy="170" r="5" fill="{colours[country]}"/><text x="{left + 10}" y="174">{escape(country)}</text>'
        )
    body = "".join(parts)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(alternative, quote=True)}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" style="max-width:{WIDTH}px;width:100%" font-family="sans-serif" font-size="12" '
        f'fill="currentColor"><title>{escape(alternative)}</title>'
        f'<text x="{MARGIN}" y="18" font-weight="bold">{escape(title)}</text>{body}</svg>'
    )
    return Picture(svg, alternative)


def _late(dot: Dot) -> str:
    return ", which came too late" if dot.too_late else ""


def lanes(title: str, partitions: Sequence[Sequence[int]]) -> Picture:
    """Where one user's records lie: a lane for each partition, with the numbers that the records have in the bank's order."""
    last = max((number for lane in partitions for number in lane), default=0)
    used = [place for place, lane in enumerate(partitions) if lane]
    where = " and ".join(str(place) for place in used) or "no partition"
    alternative = f"{title}: {sum(map(len, partitions))} records, in partition {where}."
    step = min(44.0, (WIDTH - 2 * MARGIN - 90) / max(1, last))
    parts = []
    for place, lane in enumerate(partitions):
        y = 40 + LANE_HEIGHT * place
        parts.append(
            f'<text x="{MARGIN}" y="{y + 4}">partition {place}</text>'
            f'<line x1="{MARGIN + 80}" y1="{y}" x2="{WIDTH - MARGIN}" y2="{y}" stroke="currentColor" stroke-opacity=".3"/>'
        )
        parts += [
            f'<circle cx="{MARGIN + 80 + step * number:.0f}" cy="{y}" r="11" fill="{COLOURS[place % len(COLOURS)]}" fill-opacity=".3" '
            f'stroke="{COLOURS[place % len(COLOURS)]}" stroke-width="2"/>'
            f'<text x="{MARGIN + 80 + step * number:.0f}" y="{y + 4}" text-anchor="middle">{number}</text>'
            for number in lane
        ]
    height = 40 + LANE_HEIGHT * len(partitions)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(alternative, quote=True)}" '
        f'viewBox="0 0 {WIDTH} {height}" style="max-width:{WIDTH}px;width:100%" font-family="sans-serif" font-size="12" '
        f'fill="currentColor"><title>{escape(alternative)}</title>'
        f'<text x="{MARGIN}" y="18" font-weight="bold">{escape(title)}</text>{"".join(parts)}</svg>'
    )
    return Picture(svg, alternative)


@dataclass(frozen=True, slots=True)
class Bar:
    """A window as the picture shows it: what kind it is, from when until when, and whether what it holds is suspicious."""

    kind: str
    begin: datetime
    end: datetime
    suspicious: bool


def windows(title: str, payments: Sequence[Dot], bars: Sequence[Bar]) -> Picture:
    """Payments on a time line, and below them the windows that hold them: kind by kind, each window a bar, suspicious ones filled."""
    if not payments or not bars:
        return Picture("", f"{title}: no window.")
    kinds = list(dict.fromkeys(bar.kind for bar in bars))
    counts = [(kind, [bar for bar in bars if bar.kind == kind]) for kind in kinds]
    said = [f"{len(same)} {kind}, {sum(bar.suspicious for bar in same)} of them suspicious" for kind, same in counts]
    alternative = f"{title}: {len(payments)} payments; windows: {'; '.join(said)}."
    first, last = min(bar.begin for bar in bars), max(bar.end for bar in bars)

    def x(moment: datetime) -> float:
        return MARGIN + (moment - first) / (last - first) * (WIDTH - 2 * MARGIN)

    countries = sorted({dot.country for dot in payments})
    colours = {country: COLOURS[index % len(COLOURS)] for index, country in enumerate(countries)}
    parts, y = [f'<line x1="{MARGIN}" y1="52" x2="{WIDTH - MARGIN}" y2="52" stroke="currentColor"/>'], 84
    for kind, same in counts:
        parts.append(f'<text x="{MARGIN}" y="{y}">{escape(kind)}</text>')
        y += 8
        ends: list[datetime] = []
        for bar in sorted(same, key=lambda one: one.begin):
            # Windows without overlap share a line.
            lane = next((place for place, end in enumerate(ends) if end <= bar.begin), len(ends))
            ends[lane : lane + 1] = [bar.end]
            fill = 'fill="#d62728" fill-opacity=".75"' if bar.suspicious else 'fill="none"'
            parts.append(
                f'<rect x="{x(bar.begin):.0f}" y="{y + 11 * lane}" width="{x(bar.end) - x(bar.begin) - 2:.0f}" height="8" rx="3" {fill} '
                f'stroke="currentColor" stroke-width=".8"><title>{bar.begin:%H:%M} to {bar.end:%H:%M}</title></rect>'
            )
        y += 11 * len(ends) + 24
    for dot in payments:
        label = f"{dot.country} {dot.amount_eur:,.2f} EUR at {dot.time:%H:%M:%S}"
        parts.append(
            f'<path d="M{x(dot.time):.0f} 52V{y - 24}" stroke="{colours[dot.country]}" stroke-dasharray="3 3"/>'
            f'<circle cx="{x(dot.time):.0f}" cy="52" r="6" fill="{colours[dot.country]}" stroke="currentColor" stroke-width=".6">'
            f"<title>{escape(label)}</title></circle>"
            f'<text x="{x(dot.time):.0f}" y="40" text-anchor="middle" fill="{legible(colours[dot.country])}">{escape(dot.country)}</text>'
        )
    for moment, anchor in ((first, "start"), (last, "end")):
        parts.append(f'<text x="{x(moment):.0f}" y="{y}" text-anchor="{anchor}">{moment:%H:%M}</text>')
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(alternative, quote=True)}" '
        f'viewBox="0 0 {WIDTH} {y + 12}" style="max-width:{WIDTH}px;width:100%" font-family="sans-serif" font-size="12" '
        f'fill="currentColor"><title>{escape(alternative)}</title>'
        f'<text x="{MARGIN}" y="18" font-weight="bold">{escape(title)}</text>{"".join(parts)}</svg>'
    )
    return Picture(svg, alternative)


@dataclass(frozen=True, slots=True)
class Lane:
    """One stage in a picture of what flows: `counts` are pairs of the seconds passed and how many had come by then, from (0, 0) on."""

    name: str
    counts: tuple[tuple[float, int], ...]

    @property
    def total(self) -> int:
        return self.counts[-1][1]

    @property
    def bars(self) -> tuple[tuple[float, float, float], ...]:
        """Begin and end of each interval in seconds, and how many came a second."""
        pairs = zip(self.counts, self.counts[1:], strict=False)
        return tuple((begin, end, (after - before) / (end - begin)) for (begin, before), (end, after) in pairs)


def pulse(lanes: Sequence[Lane], seconds: float) -> Picture:
    """How many come a second at each stage, over time: a row of bars for each lane, with a scale of its own."""
    passed = max(lane.counts[-1][0] for lane in lanes)
    said = "; ".join(
        f"{lane.name}: {lane.total:,}, at most {max((rate for *_, rate in lane.bars), default=0):,.0f} a second"
        for lane in lanes
    )
    alternative = f"After {min(passed, seconds):.0f} of {seconds:.0f} seconds: {said}."
    span = max(passed, seconds)

    def x(at: float) -> float:
        return MARGIN + at / span * (WIDTH - 2 * MARGIN)

    parts, base = [], 0
    for place, lane in enumerate(lanes):
        colour = COLOURS[place % len(COLOURS)]
        top, base = 28 + place * 84, 84 + place * 84
        most = max(1.0, *(rate for *_, rate in lane.bars)) if lane.bars else 1.0
        now = f", last bar: {lane.bars[-1][2]:,.0f} a second" if lane.bars else ""
        parts.append(
            f'<text x="{MARGIN}" y="{top - 8}"><tspan font-weight="bold">{escape(lane.name)}</tspan> {lane.total:,} in all{now}</text>'
            f'<text x="{WIDTH - MARGIN}" y="{top - 8}" text-anchor="end">highest bar: {most:,.0f} a second</text>'
            f'<path d="M{MARGIN} {base}H{WIDTH - MARGIN}" stroke="currentColor" stroke-opacity=".5"/>'
        )
        parts += [
            f'<rect x="{x(begin) + 0.5:.1f}" y="{base - 52 * rate / most:.1f}" width="{max(x(end) - x(begin) - 1, 0.5):.1f}" '
            f'height="{52 * rate / most:.1f}" fill="{colour}"/>'
            for begin, end, rate in lane.bars
        ]
    for at, anchor in ((0.0, "start"), (seconds, "end")):
        parts.append(f'<text x="{x(at):.0f}" y="{base + 18}" text-anchor="{anchor}">{at:.0f} s</text>')
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(alternative, quote=True)}" '
        f'viewBox="0 0 {WIDTH} {base + 26}" style="max-width:{WIDTH}px;width:100%" font-family="sans-serif" font-size="12" '
        f'fill="currentColor"><title>{escape(alternative)}</title>{"".join(parts)}</svg>'
    )
    return Picture(svg, alternative)


def trade_off(points: Sequence[tuple[float, float, float]]) -> Picture:
    """Precision and recall, 0 to 1, over a threshold in EUR: points (threshold, precision, recall)."""
    if len(points) < 2:
        return Picture("", "Precision and recall: too few points.")
    points = sorted(points)
    first, last = points[0], points[-1]
    least, most = first[0], last[0]
    alternative = (
        f"Precision and recall over the threshold: at {least:,.0f} EUR precision {first[1]:.2f}, recall {first[2]:.2f}; "
        f"at {most:,.0f} EUR precision {last[1]:.2f}, recall {last[2]:.2f}."
    )

    def x(threshold: float) -> float:
        return MARGIN + (threshold - least) / (most - least) * (WIDTH - 2 * MARGIN)

    def y(share: float) -> float:
        return 150 - 110 * share

    parts = [
        f'<path d="M{MARGIN} {y(share):.0f}H{WIDTH - MARGIN}" stroke="currentColor" stroke-opacity="{0.8 if share == 0 else 0.25}"/>'
        f'<text x="{MARGIN - 6}" y="{y(share) + 4:.0f}" text-anchor="end">{share:g}</text>'
        for share in (0, 0.5, 1)
    ]
    for place, (name, colour, dashes) in enumerate(
        (("precision", COLOURS[0], ""), ("recall", COLOURS[1], ' stroke-dasharray="7 4"'))
    ):
        line = " ".join(f"{x(point[0]):.0f},{y(point[place + 1]):.1f}" for point in points)
        left = MARGIN + 110 * place
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2.5"{dashes}/>'
            f'<path d="M{left} 14H{left + 26}" stroke="{colour}" stroke-width="2.5"{dashes}/><text x="{left + 32}" y="18">{name}</text>'
        )
    for threshold in (least, (least + most) / 2, most):
        parts.append(f'<text x="{x(threshold):.0f}" y="172" text-anchor="middle">{threshold:,.0f} EUR</text>')
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(alternative, quote=True)}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" style="max-width:{WIDTH}px;width:100%" font-family="sans-serif" font-size="12" '
        f'fill="currentColor"><title>{escape(alternative)}</title>{"".join(parts)}</svg>'
    )
    return Picture(svg, alternative)


@dataclass(frozen=True, slots=True)
class Panel:
    """One side of `before_after`: what a user has paid, by country, the rule's threshold, and what a running job says of it."""

    title: str
    paid_eur: Sequence[tuple[str, Decimal]]
    threshold_eur: Decimal
    caught: bool
    verdict: str

    def __str__(self) -> str:
        countries = sorted({country for country, _ in self.paid_eur})
        return f"{self.title}: {self.total_eur:,.2f} EUR in {' and '.join(countries) or 'no country'}, {self.verdict}"

    @property
    def total_eur(self) -> Decimal:
        """What the payments are worth together."""
        return sum((eur for _, eur in self.paid_eur), Decimal(0))


def before_after(title: str, before: Panel, after: Panel) -> Picture:
    """The same account twice, side by side: a bar of its payments, by country, a line at the rule's threshold, and the verdict."""
    alternative = f"{title}. {before}. {after}."
    most = max(panel.total_eur for panel in (before, after))
    top = float(max(most, before.threshold_eur, after.threshold_eur)) * 1.1
    countries = sorted({country for panel in (before, after) for country, _ in panel.paid_eur})
    colours = {country: COLOURS[place % len(COLOURS)] for place, country in enumerate(countries)}
    parts, base, half = [], 170.0, WIDTH / 2
    for place, panel in enumerate((before, after)):
        left = MARGIN + place * half
        height, line = base, base - 120 * float(panel.threshold_eur) / top
        parts.append(f'<text x="{left:.0f}" y="40" font-weight="bold">{escape(panel.title)}</text>')
        parts.append(f'<path d="M{left:.0f} {base:.0f}H{left + 150:.0f}" stroke="currentColor" stroke-opacity=".5"/>')
        for country, eur in panel.paid_eur:
            size = max(1.0, 120 * float(eur) / top)
            height -= size
            parts.append(
                f'<rect x="{left + 30:.0f}" y="{height:.1f}" width="60" height="{size:.1f}" fill="{colours[country]}" '
                f'stroke="white" stroke-width=".6"><title>{escape(f"{country} {eur:,.2f} EUR")}</title></rect>'
            )
            if size >= 12:  # lower ones have no room for their country
                parts.append(f'<text x="{left + 96:.0f}" y="{height + size / 2 + 4:.1f}">{escape(country)}</text>')
        paid = f"{panel.total_eur:,.2f} EUR in {', '.join(sorted({one for one, _ in panel.paid_eur}))}"
        colour = "#c62828" if panel.caught else "#607080"
        parts.append(
            f'<path d="M{left:.0f} {line:.1f}H{left + 150:.0f}" stroke="currentColor" stroke-width="2" stroke-dasharray="7 4"/>'
            f'<text x="{left + 156:.0f}" y="{line + 4:.1f}">rule: {panel.threshold_eur:,.0f} EUR</text>'
            f'<text x="{left:.0f}" y="{base + 18:.0f}">{escape(paid)}</text>'
            f'<text x="{left:.0f}" y="{base + 38:.0f}" font-weight="bold" fill="{legible(colour)}">{escape(panel.verdict)}</text>'
        )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(alternative, quote=True)}" '
        f'viewBox="0 0 {WIDTH} {base + 48:.0f}" style="max-width:{WIDTH}px;width:100%" font-family="sans-serif" font-size="12" '
        f'fill="currentColor"><title>{escape(alternative)}</title>'
        f'<text x="{MARGIN}" y="18" font-weight="bold">{escape(title)}</text>{"".join(parts)}</svg>'
    )
    return Picture(svg, alternative)
