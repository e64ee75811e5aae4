"""Who is a finalist, what is run again, and who leads in the end: functions of the rows alone."""

import math
from dataclasses import dataclass, field
from itertools import permutations

import pytest

from sweeps.core.finals import Finals
from sweeps.core.replicates import Due, finalists, repeat_of, replicate_number, replicate_seed, spread
from sweeps.core.states import TrialState
from sweeps.testing import make_spec

BOUND = [{"metric": "latency/ms_per_image", "max": 80}]
TWO = [{"metric": "segm/AP"}, {"metric": "latency/ms_per_image", "goal": "minimize"}]


@dataclass(frozen=True)
class Row:
    number: int
    ap: float | None = None
    ms: float = 50.0
    state: TrialState = TrialState.COMPLETED
    measured_iteration: int = 300
    metrics: dict[str, float] = field(init=False)

    def __post_init__(self):
        metrics = {} if self.ap is None else {"segm/AP": self.ap, "latency/ms_per_image": self.ms}
        object.__setattr__(self, "metrics", metrics)

    @property
    def replicate_of(self):
        return self.number % 100_000 if repeat_of(self.number) else None


def again(finalist, repeat, ap=None, ms=50.0, state=TrialState.COMPLETED):
    return Row(replicate_number(finalist, repeat), ap, ms, state)


def finals(**sections):
    return Finals(make_spec(replicates={"runs": 3, "finalists": 2}, **sections))


def numbers(rows):
    return [row.number for row in rows]


def test_mean_and_deviation_are_the_samples():
    """The deviation has n - 1 below the line; a single value has none."""
    assert (spread([2.0, 4.0, 9.0]).mean, spread([2.0, 4.0, 9.0]).n) == (5.0, 3)
    assert spread([2.0, 4.0, 9.0]).deviation == math.sqrt(13)
    assert (spread([7.5]).mean, spread([7.5]).deviation, spread([7.5]).n) == (7.5, None, 1)


def test_equal_runs_deviate_by_nothing():
    """Rounding makes no spread where there is none: 0.1 three times over is 0.1."""
    assert (spread([0.1] * 3).mean, spread([0.1] * 3).deviation) == (0.1, 0.0)


def test_a_replicate_has_a_number_and_a_seed_of_its_own():
    """Numbers of the search have no gap, and the same replicate has the same seed after a restart."""
    assert [replicate_number(7, repeat) for repeat in (1, 2)] == [100007, 200007]
    assert [repeat_of(number) for number in (7, 99999, 100007, 200007)] == [0, 0, 1, 2]
    seeds = {replicate_seed(seed, Due(trial, k)) for seed in (0, 1) for trial in (1, 11) for k in (1, 2)}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert replicate_seed(7, Due(3, 1)) == replicate_seed(7, Due(3, 1)) == 1032706631


def test_finalists_are_the_best_that_finished_and_keep_the_constraints():
    """What was pruned, failed, or breaks a constraint is no finalist, whatever its value."""
    rows = [
        Row(0, 30.0),
        Row(1, 70.0, state=TrialState.PRUNED),
        Row(2, 60.0, ms=90.0),
        Row(3, 40.0),
        Row(4, 50.0, state=TrialState.CANCELLED),
        Row(5),
        Row(6, 35.0),
    ]
    judge = finals(constraints=BOUND)
    assert numbers(finalists(rows, judge.objectives, judge.bounds, 2)) == [3, 6]
    assert numbers(finalists(rows, judge.objectives, judge.bounds, 9)) == [3, 6, 0]


def test_finalists_of_two_objectives_span_the_front():
    """The ends of a front that is too large come before its crowded middle; a small one is filled up."""
    judge = finals(objectives=TWO)
    front = [Row(0, 50.0, 90.0), Row(1, 49.0, 89.0), Row(2, 48.0, 88.0), Row(3, 9.0, 9.0), Row(4, 8.0, 80.0)]
    assert numbers(finalists(front, judge.objectives, (), 2)) == [0, 3]
    assert set(numbers(finalists(front, judge.objectives, (), 3))) == {0, 2, 3}
    assert set(numbers(finalists(front, judge.objectives, (), 9))) == {0, 1, 2, 3, 4}


def test_every_finalist_runs_again_before_one_runs_a_third_time():
    """If time runs out, all have been run about as often."""
    rows = [Row(0, 30.0), Row(1, 50.0), Row(2, 40.0)]
    assert finals().due(rows) == [Due(1, 1), Due(2, 1), Due(1, 2), Due(2, 2)]
    made = [*rows, again(1, 1, state=TrialState.RUNNING)]
    assert finals().due(made) == [Due(2, 1), Due(1, 2), Due(2, 2)]
    assert Finals(make_spec()).due(rows) == []
    assert Finals(make_spec(replicates=1)).due(rows) == []


def test_a_failed_replicate_is_not_made_up_for_and_a_cancelled_one_is():
    """What failed says something of the finalist; what a budget cut off says nothing."""
    rows = [Row(0, 30.0), again(0, 1, state=TrialState.INFEASIBLE), again(0, 2, state=TrialState.CANCELLED)]
    assert finals().due(rows) == [Due(0, 3)]


def test_finalists_that_were_run_again_stay_when_better_trials_come():
    """A search that goes on gives its new finalists replicates; those of earlier ones still count."""
    judge = finals()
    rows = [Row(0, 30.0), Row(1, 20.0)]
    rows += [again(0, 1, 30.0), again(0, 2, 30.0), again(1, 1, 25.0), again(1, 2, 25.0)]
    assert judge.due(rows) == []
    more = [*rows, Row(2, 28.0), Row(3, 26.0)]
    assert judge.due(more) == [Due(2, 1), Due(2, 2)]
    more += [again(2, 1, 20.0), again(2, 2, 20.0)]
    assert numbers(judge.ranked(more, settled=True)) == [0, 1, 2, 3]


def lucky():
    """Trial 1 was lucky once; trial 0 is better."""
    return [
        Row(0, 40.0),
        Row(1, 45.0),
        Row(2, 39.0),
        again(0, 1, 41.0),
        again(0, 2, 42.0),
        again(1, 1, 30.0),
        again(1, 2, 33.0),
    ]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_best_mean_leads_once_all_have_ended(order):
    """Until then the single runs count, and a replicate is never a trial of its own."""
    rows = [*[lucky()[k] for k in order], *lucky()[3:]]
    assert numbers(finals().ranked(rows, settled=True)) == [0, 1, 2]
    assert finals().leader(rows, settled=True).metrics["segm/AP"] == 41.0
    assert numbers(finals().ranked(rows, settled=False)) == [1, 0, 2]
    assert finals().leader(rows, settled=False).number == 1


def test_a_finalist_with_more_than_one_run_comes_before_single_runs():
    """A mean of 36 says more than one run of 39; without a second run a finalist is one of many."""
    rows = [
        Row(0, 40.0),
        Row(1, 45.0),
        Row(2, 39.0),
        again(0, 1, 32.0),
        again(0, 2, state=TrialState.FAILED),
        again(1, 1, state=TrialState.INFEASIBLE),
        again(1, 2, state=TrialState.FAILED),
    ]
    assert numbers(finals().ranked(rows, settled=True)) == [0, 1, 2]
    result = finals().results(rows)[0]
    assert (numbers(result.runs), result.begun) == ([0, 100000], 3)
    assert numbers(finals().results(rows)[1].runs) == [1]


def test_constraints_are_judged_on_means():
    """A finalist whose runs are too slow on average comes after all that keep the constraint."""
    judge = finals(constraints=BOUND)
    rows = [Row(0, 40.0, 79.0), Row(1, 30.0), Row(2, 20.0), again(0, 1, 40.0, 83.0), again(1, 1, 30.0)]
    assert numbers(judge.ranked(rows, settled=True)) == [1, 2, 0]
    assert judge.leader(rows, settled=True).number == 1


def test_checkpoints_of_finalists_are_kept_until_it_is_clear_who_leads():
    """Each finalist keeps its best run's; in the end the leader's best run is what is left."""
    judge = finals()
    running = [*lucky()[:5], again(1, 1, state=TrialState.RUNNING)]
    assert judge.kept(running, settled=False) == ((1,), (200000, 100000, 0))
    assert judge.kept(lucky(), settled=True) == ((200000, 100000, 0),)
    assert judge.kept([Row(0, 1.0), Row(1, 3.0), Row(2, 2.0)], settled=False) == ((1,), (2,))
    assert Finals(make_spec()).kept([Row(0, 1.0), Row(1, 3.0), Row(2, 2.0)], settled=False) == ((1,),)


def test_a_metric_that_some_runs_lack_is_the_mean_of_the_others():
    """Its own count says of how many."""
    rows = [Row(0, 40.0), again(0, 1, 42.0), again(0, 2, 44.0)]
    rows[0].metrics["segm/AP_tiny"] = 5.0
    found = finals().results(rows)[0].metrics
    assert (found["segm/AP"].n, found["segm/AP_tiny"].n, found["segm/AP_tiny"].deviation) == (3, 1, None)
