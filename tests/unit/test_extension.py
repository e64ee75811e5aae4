"""What is added to a budget, as people write it and as the store keeps it."""

import pytest

from sweeps.core.errors import SpecInvalid
from sweeps.core.extension import extended, joined, read_extension
from sweeps.core.stops import Limit
from sweeps.testing import make_spec

ALL = {
    "trials": 20,
    "gpu_hours": 1.5,
    "wall": "1h30m",
    "deadline": "07:00 Europe/Berlin",
    "target": {"segm/AP": 45.0},
    "no_improvement": 3,
}


def test_an_extension_comes_back_from_its_document():
    """The store's JSON says the same as the options, and names its limits."""
    extension = read_extension(ALL)
    assert extension.document() == ALL
    assert read_extension(extension.document()) == extension
    assert extension.limits == set(Limit)
    assert read_extension({"wall": "1h"}).limits == {Limit.WALL}


def test_an_extension_reads_as_a_sentence():
    """For messages, and for the reason of a sweep that it opens again."""
    assert str(read_extension(ALL)) == (
        "20 trials more, 1.5 GPU-hours more, 1h30m of wall time more, deadline 07:00 Europe/Berlin, "
        "target segm/AP 45, 3 more without improvement"
    )
    assert str(read_extension({"trials": 1})) == "1 trial more"


def test_two_extensions_are_one():
    """One after the other gives the same budget as both at once."""
    budget = make_spec(budget={name: value for name, value in ALL.items() if name != "no_improvement"}).budget
    one, two = read_extension(ALL), read_extension({"wall": "30m", "target": {"segm/AP": 50}, "trials": 1})
    assert extended(extended(budget, one), two) == extended(budget, joined(one, two))
    assert extended(budget, joined(one, two)).wall_s == 2 * 5400 + 1800


def test_every_problem_of_an_extension_is_told_at_once():
    """As with specs: what was got, what is needed, and a hint."""
    wrong = {"trials": 0, "gpu_hours": -1, "wall": "2", "deadline": "7", "target": {"segm/ap": "x"}, "x": 1}
    with pytest.raises(SpecInvalid) as invalid:
        read_extension(wrong)
    assert [str(issue) for issue in invalid.value.issues] == [
        "trials: got 0, but needs a whole number from 1 to 100000",
        "gpu_hours: got -1, but needs a number above 0",
        "wall: got 2, but needs a duration such as 2h, 90m or 1h30m (hint: say the unit: h, m or s)",
        'deadline: got 7, but needs "HH:MM Zone/City" such as "07:00 Europe/Berlin"',
        "target.segm/ap: segm/ap is not a metric "
        "(hint: did you mean segm/AP, segm/APs or segm/APm? `masksweep metrics` lists all)",
        "target.segm/ap: got x, but needs a number",
        "x: Extra inputs are not permitted",
    ]
