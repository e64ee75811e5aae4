"""kill -9 of a driver around each of its commits, in sweeps with failures, limits, requests and more."""

from typing import Any

import pytest

from runners.testing import TOLERANCE
from sweeps.core.replicates import repeat_of, replicate_number
from sweeps.core.spec import Fidelity, Replicates, SweepSpec
from sweeps.core.states import SweepState, TrialState
from sweeps.core.warm_start import WarmStart
from sweeps.testing import store_url
from sweeps.warm.comparable import Setting
from sweeps.warm.sources import read_sources
from sweeps.warm.takeover import take_over
from tests.failure.courses import DATA, SPEC, Courses
from tests.failure.lives import Ask, Kill
from tests.failure.verdict import Course, course
from tests.store_rows import check_rows

pytestmark = pytest.mark.slow  # some hundred processes

FAULTS = {1: "error", 2: "diverged"}
"""What each attempt of these trials ends in."""

ASKED_AT = 3
"""The commit after which somebody asks for something: trial 0 runs, and has a rung behind it."""

UNANSWERED = ASKED_AT + 1
"""The commit whose sweep is mirrored as its driver left it: before it the request is not seen yet, after it
the driver has begun to carry it out."""


OTHER_FIDELITY = SPEC.model_copy(
    update={
        "fidelity": Fidelity(iterations=4, rungs=(2, 4)),
        "sampler": SPEC.sampler.model_copy(update={"seed": 8}),
    }
)
"""A sweep whose values cannot be compared with those of `SPEC`."""


@pytest.fixture
def stage(source, tmp_path):
    """Makes sweeps of a spec, all of them in one SQLite store."""

    def made(name: str, spec: SweepSpec = SPEC, **more: Any) -> Courses:
        return Courses(source, store_url("sqlite", tmp_path, "store"), tmp_path / name, spec, **more)

    return made


def killed_everywhere(sweeps: Courses, when: str) -> None:
    """Each commit's driver dies once, and the next one comes to the undisturbed end."""
    for commit in range(1, sweeps.commits + 1):
        sweep_id, name = sweeps.create(), f"{when}-{commit}"
        assert sweeps.live(sweep_id, name, Kill(when, commit)).code == -9
        check_rows(sweeps.service, sweep_id)
        if commit == sweeps.commits // 2:
            sweeps.mirror(sweep_id)
        if (when, commit) != ("after", sweeps.commits):
            assert sweeps.live(sweep_id, name).code == 0
        sweeps.assert_nothing_lost(sweep_id, name)
        assert sweeps.failures_of(sweep_id) == sweeps.failures, "a driver's death is no trial's failure"


def budget(**limits: Any) -> SweepSpec:
    """The spec with other limits."""
    return SPEC.model_copy(update={"budget": SPEC.budget.model_copy(update=limits)})


@pytest.mark.parametrize("when", ["before", "after"])
def test_failures_are_counted_alike_whenever_the_driver_was_killed(stage, when):
    """Three errors make a trial FAILED, and no death of a driver does; divergence is INFEASIBLE at once."""
    sweeps = stage("faults", faults=FAULTS)
    ends = sweeps.course.ends
    assert (ends[1][0], ends[1][2]) == (TrialState.FAILED, "error: planned")
    assert (ends[2][0], ends[2][2]) == (TrialState.INFEASIBLE, "diverged: planned")
    killed_everywhere(sweeps, when)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_limit_cuts_off_the_same_trial_whenever_the_driver_was_killed(stage, when):
    """A target reached between two rungs: the sweep is STOPPING, and the trial CANCELLED where it was."""
    measured = stage("straight").course.measured
    reached = max(metrics["segm/AP"] for (_, rung), (metrics, _) in measured.items() if rung == 4)
    sweeps = stage("target", budget(target={"segm/AP": reached}))
    state, iteration, reason = sweeps.course.ends[-1]
    assert (state, iteration) == (TrialState.CANCELLED, 4)
    assert reason.startswith("target reached: segm/AP ")
    killed_everywhere(sweeps, when)


@pytest.mark.parametrize("when", ["before", "after"])
def test_who_reached_the_target_is_confirmed_whenever_the_driver_was_killed(stage, when):
    """At its first rung: it is trained to its end and run again, and nothing else is tried."""
    measured = stage("straight").course.measured
    reached = max(metrics["segm/AP"] for (_, rung), (metrics, _) in measured.items() if rung == 2)
    spec = budget(target={"segm/AP": reached})
    again = Replicates(runs=2, finalists=1)
    sweeps = stage("confirmed", spec.model_copy(update={"replicates": again}))
    assert [end[:2] for end in sweeps.course.ends[-2:]] == [(TrialState.COMPLETED, 8)] * 2
    assert [number for number, _ in sweeps.course.measured if repeat_of(number)] == [
        replicate_number(len(sweeps.course.ends) - 2, 1)
    ]
    killed_everywhere(sweeps, when)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_pause_is_carried_out_once_whenever_the_driver_was_killed(stage, when):
    """The sweep is PAUSED, by the driver that was asked or by the next one, and goes on as if nothing was."""
    sweeps, ask = stage("pause"), Ask("pause", ASKED_AT)
    for commit in killed_at(sweeps, ask, when):
        sweep_id, name = sweeps.create(), f"{when}-{commit}"
        assert sweeps.live(sweep_id, name, Kill(when, commit), ask=ask).code == -9
        check_rows(sweeps.service, sweep_id)
        if commit == UNANSWERED:
            sweeps.mirror(sweep_id)
        if sweeps.service.sweep(sweep_id).state is not SweepState.PAUSED:
            assert sweeps.live(sweep_id, name).code == 0
        paused = sweeps.service.sweep(sweep_id)
        assert (paused.state, paused.reason) == (SweepState.PAUSED, "paused by ann@desk")
        assert sweeps.live(sweep_id, name).code == 0
        assert count(sweeps, sweep_id, "sweep.paused") == 1
        sweeps.assert_nothing_lost(sweep_id, name, undisturbed=None)
        assert results(course(sweeps.service, sweep_id)) == results(sweeps.course)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_cancellation_is_carried_out_whenever_the_driver_was_killed(stage, when):
    """What is open is CANCELLED with the reason that was given, and nothing new is begun."""
    sweeps, ask = stage("cancel"), Ask("cancel", ASKED_AT)
    for commit in killed_at(sweeps, ask, when):
        sweep_id, name = sweeps.create(), f"{when}-{commit}"
        assert sweeps.live(sweep_id, name, Kill(when, commit), ask=ask).code == -9
        check_rows(sweeps.service, sweep_id)
        if commit == UNANSWERED:
            sweeps.mirror(sweep_id)
        if not sweeps.service.sweep(sweep_id).state.terminal:
            assert sweeps.live(sweep_id, name).code == 0
        (trial,) = course(sweeps.service, sweep_id).ends
        assert (trial[0], trial[2]) == (TrialState.CANCELLED, "cancelled by ann@desk")
        sweeps.assert_nothing_lost(sweep_id, name, undisturbed=None, state=SweepState.CANCELLED)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_extension_counts_once_whenever_the_driver_was_killed(stage, when):
    """The sweep ends as one that had the larger budget from its beginning."""
    sweeps, larger, ask = stage("extend"), stage("larger", budget(trials=6)), Ask("extend", ASKED_AT)
    for commit in killed_at(sweeps, ask, when):
        sweep_id, name = sweeps.create(), f"{when}-{commit}"
        assert sweeps.live(sweep_id, name, Kill(when, commit), ask=ask).code == -9
        check_rows(sweeps.service, sweep_id)
        if commit == UNANSWERED:
            sweeps.mirror(sweep_id)
        if not sweeps.service.sweep(sweep_id).state.terminal:
            assert sweeps.live(sweep_id, name).code == 0
        assert sweeps.service.sweep(sweep_id).reason == "budget of 6 trials used up"
        sweeps.assert_nothing_lost(sweep_id, name, undisturbed=larger.course)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_warm_start_is_the_same_whenever_the_driver_was_killed(stage, when):
    """What is known stays known, what is to be run again is run first, and once."""
    known = stage("known")
    again = stage("again", OTHER_FIDELITY)
    sources = again.service.sweeps()
    start = WarmStart.model_validate({"from": [sweep.sweep_id for sweep in sources], "trials": "best 4"})
    spec = SPEC.model_copy(update={"warm_start": start})
    plan = take_over(Setting(spec, DATA, None), read_sources(again.service, sources))
    assert (len(plan.known), len(plan.reruns)) == (2, 2)
    sweeps = stage("warm", spec, warm=plan)
    first = [params for params, _ in sweeps.course.suggestions[:2]]
    assert first == [each.params for each in plan.reruns]
    assert sweeps.course.suggestions[2:] != known.course.suggestions[2:]
    killed_everywhere(sweeps, when)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worn_out_worker_costs_no_attempt_whenever_the_driver_was_killed(stage, when):
    """A process that leaks is replaced before the next trial; a driver's death there counts as any other."""
    sweeps = stage("leaks", leak=2 * TOLERANCE)
    (straight,) = sweeps.service.sweeps()
    assert count(sweeps, straight.sweep_id, "worker.replaced") == 1
    assert [a.attempt for a in sweeps.service.attempts(straight.sweep_id)] == [1] * 4
    killed_everywhere(sweeps, when)


MEMORY = {"device": {"needs": {1: 1.0}}, "host": {"faults": {1: "out_of_host_memory"}}}
"""Trial 1 runs out of memory: it fits on a full device; it fits nowhere."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("memory", MEMORY)
def test_room_is_made_whenever_the_driver_was_killed(stage, memory, when):
    """Of two trials one makes way for the other's second try, and goes on from its checkpoint behind it.

    With two workers the order in which they report decides what comes next, and a death changes it.
    """
    sweeps = stage(memory, workers=2, **MEMORY[memory])
    (straight,) = sweeps.service.sweeps()
    assert made_way(sweeps, straight.sweep_id)
    mirrored = False
    for commit in range(1, sweeps.commits + 1):
        sweep_id, name = sweeps.create(), f"{when}-{commit}"
        assert sweeps.live(sweep_id, name, Kill(when, commit)).code == -9
        check_rows(sweeps.service, sweep_id)
        half_way = any(t.second_try and not t.state.terminal for t in sweeps.service.trials(sweep_id))
        if half_way and not mirrored:
            mirrored = True
            sweeps.mirror(sweep_id)
        if (when, commit) != ("after", sweeps.commits):
            assert sweeps.live(sweep_id, name).code == 0
        sweeps.assert_nothing_lost(sweep_id, name, undisturbed=None)
        trials = sweeps.service.trials(sweep_id)
        assert [trial.failures for trial in trials] == sweeps.failures
        assert [trial.number for trial in trials if trial.second_try] == [1]
        assert (trials[1].state is TrialState.INFEASIBLE) == (memory == "host")
        tries = [event for event in sweeps.service.events(sweep_id) if event.data.get("second_try")]
        assert len(tries) == 1, "one second try, whatever died"
    assert mirrored


def made_way(sweeps: Courses, sweep_id: str) -> bool:
    """Whether a trial was stopped for trial 1."""
    reasons = [str(event.data.get("reason")) for event in sweeps.service.events(sweep_id)]
    return any(reason.startswith("makes room for trial 1, which runs ") for reason in reasons)


def killed_at(sweeps: Courses, ask: Ask, when: str) -> list[int]:
    """Commits after the request of a driver that is not killed: the first four, each third, the last."""
    sweep_id = sweeps.create()
    life = sweeps.live(sweep_id, f"{ask.what}-{when}", ask=ask)
    assert (life.code, life.error) == (0, "")
    commits = range(ask.commit + (when == "before"), life.commits + 1)
    return sorted({*commits[:4], *commits[::3], commits[-1]})


def results(of: Course) -> tuple[Any, ...]:
    """All of a course but what workers were told at each rung: that was STOP where a pause came."""
    return of.suggestions, {rung: metrics for rung, (metrics, _) in of.measured.items()}, of.ends


def count(sweeps: Courses, sweep_id: str, kind: str) -> int:
    """Events of a kind."""
    return sum(event.kind == kind for event in sweeps.service.events(sweep_id))
