"""What `masksweep resume` says of a sweep that has ended: to extend it, where an extension would be taken."""

import pytest

from sweeps.cli.extend import extend_sweep
from sweeps.cli.run import resume_sweep
from sweeps.core.errors import WrongState
from sweeps.core.states import SweepState
from sweeps.settings import Settings
from sweeps.store.engine import writing
from sweeps.store.submissions import submit
from tests.unit.search_driver import Driver

EXTEND = "masksweep extend adds to its budget"


def refusal(driver: Driver, directory) -> WrongState:
    with pytest.raises(WrongState) as refused:
        resume_sweep(driver.sweep_id, Settings.load(directory, environ={}), as_json=False, ray_address=None)
    return refused.value


def play(driver: Driver, ap: float | None = 10.0) -> None:
    """Every trial to its last rung."""
    while hasattr(assignment := driver.search.next(), "rungs"):
        driver.measure(assignment, 300, **({"ap": ap} if ap is not None else {"metrics": {}}))


def test_a_spent_budget_can_be_extended(tmp_path) -> None:
    driver = Driver(tmp_path, workers=1, budget={"trials": 2})
    play(driver)
    assert driver.leave() is SweepState.COMPLETED
    assert refusal(driver, tmp_path).hint == EXTEND


def test_a_space_without_further_combinations_cannot(tmp_path) -> None:
    """It COMPLETED as well, but no limit ended it."""
    driver = Driver(tmp_path, workers=1, space={"mask_head.num_conv": {"low": 1, "high": 2}})
    play(driver)
    assert driver.leave() is SweepState.COMPLETED
    hint = refusal(driver, tmp_path).hint
    assert hint is not None
    assert f"show {driver.sweep_id}" in hint


def test_a_limit_before_anything_was_measured_can_be_extended(tmp_path) -> None:
    """It is FAILED, and goes on all the same."""
    driver = Driver(tmp_path, workers=1, budget={"trials": 1})
    play(driver, ap=None)
    assert driver.leave() is SweepState.FAILED
    assert refusal(driver, tmp_path).hint == EXTEND


@pytest.mark.parametrize("submitted", [False, True])
def test_who_extends_a_sweep_that_ended_is_told_how_it_goes_on(tmp_path, capsys, submitted) -> None:
    """By itself if a service drives it, else by a command, which is there to be copied."""
    settings = Settings.load(tmp_path, environ={})
    driver = Driver(tmp_path, workers=1, budget={"trials": 2})
    if submitted:
        with writing(driver.service.engine) as connection:
            submit(connection, driver.sweep_id, by="ann", now=1.0)
    play(driver)
    driver.leave()
    extend_sweep(driver.sweep_id, {"trials": 5}, settings, key=None, as_json=False, resume=False)
    told = " ".join(capsys.readouterr().err.split())
    by_itself = "the service that it was submitted to goes on with it"
    assert ((by_itself in told), ("masksweep resume" in told)) == (submitted, not submitted)
