"""Which of a night's trials is held against the champion: a function of the rows alone."""

from dataclasses import dataclass, field

from sweeps.core.candidate import candidate_of
from sweeps.core.finals import Finals
from sweeps.core.replicates import repeat_of, replicate_number
from sweeps.core.states import TrialState
from sweeps.testing import make_spec

BOUND = [{"metric": "latency/ms_per_image", "max": 80}]
TWO = [{"metric": "segm/AP"}, {"metric": "latency/ms_per_image", "goal": "minimize"}]


@dataclass(frozen=True)
class Row:
    number: int
    ap: float
    ms: float = 50.0
    state: TrialState = TrialState.COMPLETED
    measured_iteration: int = 300
    metrics: dict[str, float] = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "metrics", {"segm/AP": self.ap, "latency/ms_per_image": self.ms})

    @property
    def replicate_of(self):
        return self.number % 100_000 if repeat_of(self.number) else None


def best(rows, *, settled=True, **sections):
    return candidate_of(Finals(make_spec(**sections)), rows, iterations=300, settled=settled)


def test_the_best_that_was_trained_in_full_is_it():
    """A better one that was pruned, or runs still, is not; but it counts among those compared."""
    pruned = Row(1, 60.0, state=TrialState.PRUNED, measured_iteration=75)
    found = best([Row(0, 40.0), pruned, Row(2, 50.0, state=TrialState.RUNNING, measured_iteration=150)])
    assert (found.number, found.value, found.among) == (0, 40.0, 3)
    assert best([pruned]) == "no trial was trained in full"


def test_it_breaks_no_constraint():
    """However good it is otherwise."""
    found = best([Row(0, 60.0, ms=90.0), Row(1, 40.0)], constraints=BOUND)
    assert found.number == 1
    told = best([Row(0, 60.0, ms=90.0)], constraints=BOUND)
    assert told == "of 1 trained in full none keeps the constraints"


def test_of_several_objectives_the_first_decides():
    """A champion is one model, and no front."""
    assert best([Row(0, 40.0, ms=10.0), Row(1, 41.0, ms=70.0)], objectives=TWO).number == 1


def test_finalists_are_judged_by_their_means_with_all_their_runs():
    """Once all replicates are over; the best run comes first, which is the one that is used."""
    rows = [Row(0, 50.0), Row(1, 48.0), Row(2, 60.0, state=TrialState.PRUNED, measured_iteration=75)]
    rows += [Row(replicate_number(0, 1), 40.0), Row(replicate_number(1, 1), 49.0)]
    replicates = {"replicates": {"runs": 2, "finalists": 2}}
    found = best(rows, **replicates)
    assert (found.number, found.value, found.among) == (1, 48.5, 3)
    assert [run.number for run in found.runs] == [replicate_number(1, 1), 1]
    early = best(rows, settled=False, **replicates)
    assert (early.number, len(early.runs)) == (0, 1)
