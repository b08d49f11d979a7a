"""The picture that moves: it counts what has come, is drawn anew at each step, and ends by itself."""

from collections.abc import Iterator
from xml.etree import ElementTree

from fraudlab.course import flow_picture
from fraudlab.course.pictures import Lane, Picture
from fraudlab.course.pictures import pulse as draw


class Clock:
    """A clock that moves when somebody waits, and a little while somebody counts."""

    def __init__(self, counting_s: float) -> None:
        self.now, self.counting_s = 100.0, counting_s

    def read(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds

    def counts(self) -> Iterator[dict[str, int]]:
        """Sixty payments a second, and an activity each ten seconds; some were there before."""
        while True:
            yield {"payments": 5000 + round(60 * (self.now - 100)), "activities": 7 + int((self.now - 100) // 10)}
            self.now += self.counting_s


def watched(seconds: float, counting_s: float = 0.0) -> tuple[list[Picture], float]:
    shown: list[Picture] = []
    clock = Clock(counting_s)
    counts = clock.counts()
    flow_picture.watch(lambda: next(counts), seconds, shown.append, clock=clock.read, wait=clock.wait)
    return shown, clock.now - 100


def test_it_is_drawn_twice_a_second_and_ends_by_itself() -> None:
    shown, took_s = watched(10)
    assert (len(shown), took_s) == (21, 10)


def test_it_ends_although_counting_is_slow() -> None:
    shown, took_s = watched(10, counting_s=3)
    assert len(shown) < 6
    assert 10 <= took_s <= 17


def test_its_words_say_how_many_came_since_it_began() -> None:
    shown, _ = watched(10)
    assert (
        repr(shown[0]) == "After 0 of 10 seconds: payments: 0, at most 0 a second; activities: 0, at most 0 a second."
    )
    assert (
        repr(shown[-1])
        == "After 10 of 10 seconds: payments: 600, at most 60 a second; activities: 1, at most 2 a second."
    )


def test_a_bar_is_as_high_as_what_came_in_its_time_and_each_lane_has_a_scale_of_its_own() -> None:
    many = Lane("many", ((0.0, 0), (1.0, 100), (3.0, 150)))
    few = Lane("few", ((0.0, 0), (1.0, 0), (3.0, 8)))
    assert many.bars == ((0.0, 1.0, 100.0), (1.0, 3.0, 25.0))
    root = ElementTree.fromstring(draw([many, few], 3).svg)  # noqa: S314 - our own
    bars = root.findall("{http://www.w3.org/2000/svg}rect")
    assert [float(bar.get("height", "")) for bar in bars] == [52, 13, 0, 52]
    assert float(bars[1].get("width", "")) > 1.9 * float(bars[0].get("width", ""))
    assert root.get("aria-label") == repr(draw([many, few], 3))
