"""Rank pruning on sampled trials: who is never stopped, and how many pass."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.core.fronts import Standing, among_best
from sweeps.core.ranking import dominates
from sweeps.core.states import TrialState
from sweeps.pruning.rank_rules import RankRule
from sweeps.pruning.rules import Reading
from sweeps.testing import make_spec

VALUES = st.integers(0, 12).map(float)  # few enough for ties
NAMES = ("segm/AP", "segm/AP_small", "bbox/AP")


def trials(objectives: int) -> st.SearchStrategy[list[Standing]]:
    point = st.tuples(*[VALUES] * objectives)
    violation = st.sampled_from([0.0, 0.0, 0.0, 1.5, 3.0])
    return st.lists(st.builds(Standing, violation, point), min_size=1, max_size=24)


MANY = st.integers(1, 3).flatmap(trials)


def passes(mine: int, all_: list[Standing], factor: int) -> bool:
    others = all_[:mine] + all_[mine + 1 :]
    return among_best(all_[mine], others, max(1, len(all_) // factor))


@given(MANY, st.integers(2, 5))
def test_at_least_one_in_factor_passes(all_, factor):
    """Judged with all the others there, at least as many pass as successive halving promises."""
    passing = sum(passes(at, all_, factor) for at in range(len(all_)))
    assert passing >= max(1, len(all_) // factor)


@given(MANY, st.integers(2, 5))
def test_who_passes_is_dominated_only_by_who_passes(all_, factor):
    """Nobody is stopped who is better than somebody that may go on."""
    on = [passes(at, all_, factor) for at in range(len(all_))]
    for worse in range(len(all_)):
        for better in range(len(all_)):
            if all_[better].violation == all_[worse].violation and dominates(
                all_[better].scores, all_[worse].scores
            ):
                assert on[better] or not on[worse]
            if all_[better].violation < all_[worse].violation:
                assert on[better] or not on[worse]


@given(st.lists(VALUES, min_size=1, max_size=30), st.integers(2, 5))
def test_one_objective_is_plain_successive_halving(values, factor):
    """A value passes if it is not below that of the last place: what Optuna's pruner asks."""
    standings = [Standing(0.0, (value,)) for value in values]
    places = max(1, len(values) // factor)
    expected = [value >= sorted(values)[-places] for value in values]
    assert [passes(at, standings, factor) for at in range(len(values))] == expected


@settings(max_examples=60)
@given(
    st.integers(2, 3).flatmap(lambda n: st.lists(st.tuples(*[VALUES] * n), min_size=2, max_size=16)),
    st.data(),
)
def test_no_order_of_arrival_stops_the_best_in_an_objective(points, data):
    """Who is strictly best in one objective passes whenever it comes, and so does the first to come."""
    spec = make_spec(objectives=[{"metric": name} for name in NAMES[: len(points[0])]])
    rule, stopped = RankRule(spec), set()
    order = data.draw(st.permutations(range(len(points))))
    for number in order:
        rule.take(Reading(number, 0, dict(zip(NAMES, points[number], strict=False))))
        if rule.against(number, 0):
            stopped.add(number)
            rule.end(number, TrialState.PRUNED, {})
    best = set()
    for objective in range(len(points[0])):
        ranked = sorted(range(len(points)), key=lambda at, by=objective: points[at][by])
        if points[ranked[-1]][objective] > points[ranked[-2]][objective]:
            best.add(ranked[-1])
    assert not stopped & (best | {order[0]})


@given(st.permutations(range(9)))
def test_what_a_rung_decides_depends_on_who_is_there_alone(order):
    """The last to come gets the same answer, in whatever order the others came."""
    points = [(float(at), float((at * 5) % 9)) for at in range(9)]
    answers = set()
    for arrival in (order, sorted(order)):
        rule = RankRule(make_spec(objectives=[{"metric": name} for name in NAMES[:2]]))
        for number in arrival:
            rule.take(Reading(number, 0, dict(zip(NAMES, points[number], strict=False))))
        answers.add(tuple(rule.against(number, 0) for number in range(9)))
    assert len(answers) == 1
