"""A warm start in the store, on SQLite and on a real PostgreSQL: read from there, frozen there, replayed."""

import math
from pathlib import Path

import pytest
import sqlalchemy as sa

from sweeps.core.states import SweepState, TrialState
from sweeps.core.trial import Assignment, Decision, Suggestion
from sweeps.records import Outcome
from sweeps.search import Search
from sweeps.service import SweepService
from sweeps.store.tables import beginnings, sweeps
from sweeps.testing import FakeClock, make_report, make_spec
from sweeps.warm.comparable import Setting
from sweeps.warm.sources import find_sources, read_sources
from sweeps.warm.takeover import take_over

FLAT = {
    "mask_head.num_conv": {"low": 1, "high": 8},
    "solver.base_lr": {"low": 0.0001, "high": 0.1, "log": True},
}


class Run:
    """One driver after the other for one sweep; a trial ends as soon as it is handed out."""

    def __init__(self, service: SweepService, sweep_id: str, directory: Path) -> None:
        self.service, self.sweep_id, self.directory = service, sweep_id, directory
        self.clock = FakeClock()
        self.restart()

    def restart(self) -> None:
        claim = self.service.claim(self.sweep_id, self.clock.tick())
        self.search = Search(
            self.service, claim, directory=self.directory, workers=1, devices=1.0, clock=self.clock
        )

    def play(self, trials: int, *, restarts: bool = False) -> list[dict[str, object]]:
        """The parameters of so many trials more."""
        played = []
        for _ in range(trials):
            if restarts:
                self.restart()
            found = self.search.next()
            assert isinstance(found, Assignment)
            played.append(dict(found.params))
            value = 40 - 8 * abs(math.log10(float(found.params["solver.base_lr"])) + 2)
            for iteration in (75, 150, 300):
                metrics = {"segm/AP": value * iteration / 300, "segm/AP50": 1.0}
                report = make_report(found.number, found.attempt, iteration, metrics=metrics)
                if self.search.report(report) is Decision.STOP:
                    break
        return played


def new_sweep(service, source_id=None, *, trials="all", fingerprint="data", seed=7, **sections):
    """A sweep, and what it took over."""
    start = {"warm_start": {"from": [source_id], "trials": trials}} if source_id else {}
    sampler = {"type": "tpe", "seed": seed, "startup_trials": 5}
    spec = make_spec(**{"space": FLAT, "sampler": sampler, "budget": {"trials": 40}, **start, **sections})
    warm = None
    if spec.warm_start is not None:
        found, issues = find_sources(service, spec.warm_start)
        assert issues == []
        warm = take_over(Setting(spec, fingerprint, "base"), read_sources(service, found))
    return service.create(spec, fingerprint=fingerprint, now=1.0, base="base", warm=warm).sweep_id, warm


@pytest.fixture
def source(service, tmp_path) -> Run:
    """A sweep that has had twelve trials."""
    run = Run(service, new_sweep(service, seed=3)[0], tmp_path)
    run.play(12)
    return run


def test_what_was_taken_over_is_kept_as_it_was(service, source):
    """The store gives back the plan that was made, whatever the source becomes."""
    sweep_id, warm = new_sweep(service, source.sweep_id)
    assert len(warm.known) == 12
    assert service.warm_plan(sweep_id) == warm
    source.play(3)
    assert service.warm_plan(sweep_id) == warm
    assert service.warm_summary(sweep_id) == warm.summary
    assert service.trials(sweep_id) == []


def test_a_cold_start_has_none(service):
    sweep_id, _ = new_sweep(service)
    assert (service.warm_plan(sweep_id), service.warm_summary(sweep_id)) == (None, None)
    assert service.base_fingerprint(sweep_id) == "base"
    older = service.create(make_spec(), fingerprint="data", now=1.0).sweep_id
    assert (service.warm_plan(older), service.base_fingerprint(older)) == (None, None)


@pytest.mark.parametrize("fingerprint", ["data", "others"])
def test_restarts_and_a_changing_source_change_no_suggestion(service, source, tmp_path, fingerprint):
    """A driver that is replaced before every trial suggests what one that lives through suggests."""
    first, warm = new_sweep(service, source.sweep_id, trials="best 6", fingerprint=fingerprint)
    second, again = new_sweep(service, source.sweep_id, trials="best 6", fingerprint=fingerprint)
    assert warm == again
    steady = Run(service, first, tmp_path).play(14)
    source.play(2)
    assert Run(service, second, tmp_path).play(14, restarts=True) == steady
    assert [dict(each.params) for each in warm.reruns] == steady[: len(warm.reruns)]
    assert (len(warm.known), len(warm.reruns)) == ((6, 0) if fingerprint == "data" else (0, 6))


def test_known_trials_cost_no_budget_and_are_no_trials(service, source, tmp_path):
    """Numbers begin at 0 and the budget counts own trials; re-runs are own trials."""
    sweep_id, warm = new_sweep(service, source.sweep_id, budget={"trials": 3})
    run = Run(service, sweep_id, tmp_path)
    run.play(3)
    assert [t.number for t in service.trials(sweep_id)] == [0, 1, 2]
    assert not isinstance(run.search.next(), Assignment)
    assert len(warm.known) == 12


def test_a_sweep_and_what_it_takes_over_are_created_together(service, source):
    """If what is taken over cannot be stored, there is no sweep either."""
    before = len(service.sweeps())
    _, warm = new_sweep(service, source.sweep_id)
    spoilt = warm.known[0].readings[0][1]
    assert isinstance(spoilt, dict)
    spoilt["segm/AP"] = math.nan  # no JSON
    with pytest.raises((ValueError, sa.exc.StatementError)):
        service.create(make_spec(), fingerprint="data", now=1.0, base="base", warm=warm)
    assert len(service.sweeps()) == before + 1
    with service.engine.connect() as connection:
        orphans = sa.select(beginnings.c.sweep_id).where(
            beginnings.c.sweep_id.not_in(sa.select(sweeps.c.sweep_id))
        )
        assert connection.execute(orphans).all() == []


def test_sources_are_named_by_id_or_beginning_and_used_once(service, source):
    """Wrong names are told with what was meant, each under its place; schedules that do not exist too."""
    whole = source.sweep_id
    start = make_spec(warm_start={"from": [whole, whole[:-1]]}).warm_start
    found, issues = find_sources(service, start)
    assert ([each.sweep_id for each in found], issues) == ([whole], [])
    typo = whole[:-3] + "0" + whole[-2:]
    start = make_spec(warm_start={"from": [typo, "schedule:nightly", whole]}).warm_start
    found, issues = find_sources(service, start)
    assert [each.sweep_id for each in found] == [whole]
    assert [(each.path, each.problem) for each in issues] == [
        ("warm_start.from[0]", f"no sweep {typo!r}"),
        ("warm_start.from[1]", "no schedule named nightly"),
    ]
    assert whole in str(issues[0].hint)
    found, issues = find_sources(None, start)
    assert (found, len(issues)) == ([], 3)


def test_what_runs_in_the_source_is_left_alone(service, source):
    """A trial that has not ended is not taken over, and the source goes on."""
    source.search.next()
    plan = take_over(
        Setting(make_spec(space=FLAT, warm_start={"from": ["x"], "trials": "all"}), "data", "base"),
        read_sources(service, [service.sweep(source.sweep_id)]),
    )
    assert plan.summary.unused == {"not ended there": 1}
    assert service.sweep(source.sweep_id).state is SweepState.RUNNING


def test_infeasible_trials_are_known(service, tmp_path):
    """What could not be trained there is not tried here."""
    sweep_id, _ = new_sweep(service, seed=3)
    claim = service.claim(sweep_id, 2.0)
    params = {"mask_head.num_conv": 8, "solver.base_lr": 0.1}
    service.add_trial(claim, Suggestion(0, params, 1), {}, 3.0)
    hopeless = Outcome(TrialState.INFEASIBLE, "diverged", Decision.STOP)
    service.record(claim, make_report(0), outcome=hopeless, sampler_attrs=None, now=4.0)
    new_id, warm = new_sweep(service, sweep_id)
    assert [(each.params, each.state) for each in warm.known] == [(params, TrialState.INFEASIBLE)]
    assert params not in Run(service, new_id, tmp_path).play(6)
