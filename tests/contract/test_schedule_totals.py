"""What `/metrics` says of the nights of a store, on SQLite and on a real PostgreSQL."""

from sweeps.schedules.nights import FiringState
from sweeps.store.schedule_totals import schedule_totals
from tests.contract.nights import World


def test_the_numbers_are_of_nights_that_go_on_and_of_the_last_day(engine):
    """What ended longer ago is history: it raises no alarm for ever, nor is counted each time."""
    world = World(engine, "nightly")
    world.at("2026-01-07 12:00")
    world.add(catch_up="skip")
    world.tick("2026-01-10 12:00")  # three nights passed while nothing ran
    world.tick("2026-01-10 22:00")

    def nights(local: str) -> dict[FiringState, int]:
        return dict(schedule_totals(engine, world.moment(local)).nights)

    assert nights("2026-01-11 11:59") == {FiringState.MISSED: 3, FiringState.RUNNING: 1}
    assert nights("2026-01-11 12:01") == {FiringState.RUNNING: 1}
    assert nights("2026-02-11 12:00") == {FiringState.RUNNING: 1}
