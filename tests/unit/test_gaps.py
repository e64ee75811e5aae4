"""How far the audit is complete."""

from sweeps.store.gaps import GAP_S, Gaps
from sweeps.testing import FakeClock


class _Store:
    """A listing of events by their ids, each with its time."""

    def __init__(self, **at: float) -> None:
        self.at = {int(name[1:]): moment for name, moment in at.items()}

    def last_event(self) -> int:
        return max(self.at, default=0)

    def event_times(self, *, after: int, limit: int) -> list[tuple[int, float]]:
        return [each for each in sorted(self.at.items()) if each[0] > after][:limit]


def test_what_may_still_come_is_waited_for():
    """The missing event of a transaction that has not ended: a page ends before it, until it is there."""
    clock, moments = FakeClock(), FakeClock(0.0)
    store = _Store(e1=clock.now, e3=clock.now)
    gaps = Gaps(store, clock, moments)
    assert gaps.complete() == 1
    store.at[2] = clock.now
    assert gaps.complete() == 3


def test_several_gaps_are_waited_for_at_once():
    """What was undone stays missing: after the same time all of them are passed."""
    clock, moments = FakeClock(), FakeClock(0.0)
    gaps = Gaps(_Store(e2=clock.now, e4=clock.now, e6=clock.now), clock, moments)
    assert gaps.complete() == 0
    moments.tick(GAP_S - 0.1)
    assert gaps.complete() == 0
    moments.tick(0.2)
    assert gaps.complete() == 6


def test_gaps_of_long_ago_are_passed_at_once():
    """As after a start: nobody waits for what was undone last year."""
    clock = FakeClock()
    assert Gaps(_Store(e2=clock.now - 3600, e5000=clock.now - 60), clock, FakeClock(0.0)).complete() == 5000
