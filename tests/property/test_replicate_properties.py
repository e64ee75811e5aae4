"""Means, deviations and the order of finalists do not depend on the order in which runs ended."""

import math
import random
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from sweeps.core.finals import Finals
from sweeps.core.replicates import replicate_number, spread
from sweeps.core.states import TrialState
from sweeps.records import TrialRecord
from sweeps.testing import make_spec

values = st.floats(-1e6, 1e6)
FINALS = Finals(make_spec(replicates={"runs": 3, "finalists": 3}))


def row(number, of, ap, state):
    metrics = {"segm/AP": ap}
    return TrialRecord(
        number, state, None, {}, 0, 1, 0, 300, None, 0, 1.0, 0.0, 1.0, {}, metrics, 300, replicate_of=of
    )


@given(st.lists(values, min_size=1, max_size=8), st.randoms())
def test_a_spread_is_exact_and_has_no_order(found, chance):
    """The mean is the true one, rounded once; the deviation's square is, to the last digits."""
    exact = sum(map(Fraction, found)) / len(found)
    got = spread(found)
    assert got.mean == float(exact)
    assert min(found) <= got.mean <= max(found)
    chance.shuffle(found)
    assert spread(found) == got
    if len(found) > 1:
        square = sum((Fraction(value) - exact) ** 2 for value in found) / (len(found) - 1)
        assert math.isclose(got.deviation**2, float(square), rel_tol=1e-12, abs_tol=1e-300)


ends = st.tuples(values, st.sampled_from([TrialState.COMPLETED, TrialState.PRUNED, TrialState.FAILED]))


@given(st.lists(ends, min_size=1, max_size=8), st.integers(0, 2**16))
def test_replicates_come_one_by_one_to_the_same_end(own, seed):
    """Made one after the other, in whatever order they end, each finalist gets two more runs and no third."""
    rows = [row(n, None, ap, state) for n, (ap, state) in enumerate(own)]
    planned = FINALS.due(rows)
    assert len({each.number for each in planned}) == len(planned)
    chance = random.Random(seed)
    while due := FINALS.due(rows):
        rows.append(row(due[0].number, due[0].finalist, chance.uniform(-9, 9), TrialState.COMPLETED))
        chance.shuffle(rows)
    made = {each.number for each in rows if each.replicate_of is not None}
    assert made == {each.number for each in planned}
    completed = sum(state is TrialState.COMPLETED for _, state in own)
    assert len(made) == 2 * min(3, completed)
    ahead, *_ = FINALS.ranked(rows, settled=True)
    assert FINALS.leader(rows, settled=True).number == ahead.number
    if completed:
        best = max(
            (n for n in range(len(own)) if replicate_number(n, 1) in made),
            key=lambda n: (spread(r.metrics["segm/AP"] for r in rows if r.number % 100_000 == n).mean, -n),
        )
        assert ahead.number == best
