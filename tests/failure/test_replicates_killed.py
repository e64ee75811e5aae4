"""kill -9 of a driver around each of its commits, in a sweep whose finalists are run again."""

import pytest

from sweeps.core.finals import Finals
from sweeps.core.states import TrialState
from sweeps.testing import make_spec, store_url
from tests.failure.courses import Courses
from tests.failure.lives import Kill
from tests.store_rows import check_rows

pytestmark = pytest.mark.slow  # some hundred processes

SPEC = make_spec(
    fidelity={"iterations": 8, "rungs": [2, 8]},
    budget={"trials": 30, "no_improvement": 2},
    sampler={"type": "tpe", "seed": 7, "startup_trials": 2},
    pruner={"type": "none"},
    replicates={"runs": 3, "finalists": 2},
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def finals(request, source, tmp_path_factory) -> Courses:
    """Sweeps that nothing improves after some trials, with four replicates."""
    url = store_url(request.param, tmp_path_factory.mktemp("store"), "replicates")
    made = Courses(source, url, tmp_path_factory.mktemp("sweeps"), SPEC)
    ends = [state for state, _, _ in made.course.ends]
    assert 3 + 4 <= len(ends) < 30 + 4
    assert set(ends) == {TrialState.COMPLETED}
    return made


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_same_replicates_are_made_whatever_commit_it_dies_at(finals, when):
    """The search ends once, each finalist has its runs, none twice, and the winner's checkpoint is left."""
    search = [number for number, _ in finals.course.measured if number < 100_000]
    first = 3 * (len(set(search)) - 1)  # from the last trial of the search on
    commits = finals.sampled(range(first, finals.commits))
    for commit in commits:
        sweep_id, name = finals.create(), f"{when}-{commit}"
        assert finals.live(sweep_id, name, Kill(when, commit)).code == -9
        check_rows(finals.service, sweep_id)
        if commit == commits[len(commits) // 2]:  # some replicates have run, and others have not
            finals.mirror(sweep_id)
        assert finals.live(sweep_id, name).code == 0
        finals.assert_nothing_lost(sweep_id, name)
        assert finals.service.sweep(sweep_id).reason.startswith("no improvement over 2 trials")
        judge, trials = Finals(SPEC), finals.service.trials(sweep_id)
        best_run, *_ = judge.runs_of(judge.leader(trials, settled=True))
        assert [int(kept.name) for kept in (finals.place(name) / "trials").iterdir()] == [best_run]
