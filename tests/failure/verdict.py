"""What has to be true when a disturbed sweep has come to its end, whatever died on the way."""

import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from search_spaces.parameters import Value
from sweeps.core.states import AttemptState, SweepState, TrialState
from sweeps.core.trial import Decision
from sweeps.service import SweepService
from sweeps.tracking.mirror import Mirror
from sweeps.tracking.testing import new_database, shown
from tests.store_rows import check_rows


@dataclass(frozen=True)
class Course:
    """All that a seed decides of a sweep, by trial.

    Attributes:
        suggestions: Parameters and seed.
        measured: By rung, metrics and what was decided.
        ends: The last state, iteration and reason.
    """

    suggestions: list[tuple[dict[str, Value], int]]
    measured: dict[tuple[int, int], tuple[dict[str, float], Decision]]
    ends: list[tuple[TrialState, int, str | None]]


def course(service: SweepService, sweep_id: str) -> Course:
    """The course that a sweep has taken so far."""
    trials, decisions = service.trials(sweep_id), service.decisions(sweep_id)
    return Course(
        [(dict(t.params), t.seed) for t in trials],
        {
            (m.number, m.iteration): (dict(m.metrics), decisions[m.number, m.iteration])
            for m in service.measurements(sweep_id)
        },
        [(t.state, t.iteration, t.reason) for t in trials],
    )


def assert_nothing_lost(
    service: SweepService,
    sweep_id: str,
    log: Path | None = None,
    *,
    undisturbed: Course | None = None,
    mlflow: str | None = None,
    fallen: Mapping[tuple[int, int], int] | None = None,
    state: SweepState = SweepState.COMPLETED,
) -> None:
    """The endings that every row of docs/crash-matrix.md promises.

    Args:
        service: The store.
        sweep_id: A sweep that has ended.
        log: What its workers trained, a line `number attempt epoch iteration` each time.
        undisturbed: The course of a sweep of the same spec on which nothing was inflicted: with one worker
            this one has to be equal.
        mlflow: Where the sweep was mirrored to, by now.
        fallen: By trial and attempt, where it fell back to, if it died before the store heard of that.
        state: The sweep's last state.
    """
    assert service.sweep(sweep_id).state is state
    check_rows(service, sweep_id)
    assert_accounted_for(service, sweep_id)
    if log is not None:
        assert_nothing_trained_twice(service, sweep_id, log, fallen or {})
    if undisturbed is not None:
        assert course(service, sweep_id) == undisturbed
    if mlflow is not None:
        assert_mirrored(service, sweep_id, mlflow)


def assert_accounted_for(service: SweepService, sweep_id: str) -> None:
    """Each trial has an end and each attempt too; each rung that a trial passed has one measurement."""
    rungs = service.sweep(sweep_id).spec.fidelity.rungs
    measured = defaultdict(list)
    for measurement in service.measurements(sweep_id):
        measured[measurement.number].append(measurement.iteration)
    for trial in service.trials(sweep_id):
        assert trial.state.terminal, trial
        if trial.state in (TrialState.COMPLETED, TrialState.PRUNED):
            asked = rungs if trial.replicate_of is None else rungs[-1:]
            assert measured[trial.number] == [rung for rung in asked if rung <= trial.iteration]
    running = [a for a in service.attempts(sweep_id) if a.state is AttemptState.RUNNING]
    assert running == [], "the sweep has ended, so their lease has"


def assert_nothing_trained_twice(
    service: SweepService, sweep_id: str, log: Path, fallen: Mapping[tuple[int, int], int]
) -> None:
    """Each attempt goes on where the trial's last stored checkpoint is, and leaves out no iteration."""
    done: dict[tuple[int, int], list[int]] = defaultdict(list)
    for line in log.read_text().splitlines():
        number, attempt, _, iteration = map(int, line.split())
        done[number, attempt].append(iteration)
    started: dict[tuple[int, int], int] = {}
    saved: dict[int, int] = defaultdict(int)
    for event in service.events(sweep_id):
        if event.number is None or event.attempt is None:
            continue
        if event.kind == "trial.started":
            started[event.number, event.attempt] = saved[event.number]
        elif event.kind == "trial.fell_back":
            started[event.number, event.attempt] = event.data["iteration"]
        elif "checkpoint" in event.data:
            saved[event.number] = event.data["iteration"]
    started |= fallen
    for (number, attempt), iterations in done.items():
        start = started[number, attempt]
        assert iterations == list(range(start + 1, start + 1 + len(iterations))), (number, attempt)
    trained = {(number, i) for (number, _), iterations in done.items() for i in iterations}
    for trial in service.trials(sweep_id):
        assert trained >= {(trial.number, i) for i in range(1, trial.iteration + 1)}


def assert_mirrored(service: SweepService, sweep_id: str, mlflow: str) -> None:
    """MLflow shows what a mirror that starts from nothing makes of the store."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        fresh = new_database(scratch / "fresh.db")
        Mirror(service, fresh, artifact_root=str(scratch / "artifacts")).sync(sweep_id)
        expected = shown(fresh, sweep_id, scratch)
        assert len(expected) == 1 + len(service.attempts(sweep_id))
        assert shown(mlflow, sweep_id, scratch) == expected
