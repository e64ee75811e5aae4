"""What is true of a sweep's rows at any moment, whoever dies."""

from collections import Counter

import pytest

from sweeps.core.replicates import replicate_number, searched
from sweeps.core.states import AttemptState, TrialState
from sweeps.service import SweepService


def check_rows(service: SweepService, sweep_id: str) -> None:
    """Trials, attempts, measurements and events of one sweep agree with each other."""
    sweep, trials = service.sweep(sweep_id), service.trials(sweep_id)
    attempts, events = service.attempts(sweep_id), service.events(sweep_id)
    newest = {a.number: a for a in attempts}  # by trial and attempt: the last of each trial
    own, again = searched(trials), Counter(t.replicate_of for t in trials)
    assert [t.number for t in own] == list(range(len(own)))
    repeats = [replicate_number(t.number, 1 + k) for t in own for k in range(again[t.number])]
    assert [t.number for t in trials] == sorted([*range(len(own)), *repeats])
    assert Counter(a.number for a in attempts) == {t.number: t.attempt for t in trials}
    assert Counter(a.state for a in attempts)[AttemptState.RUNNING] == sum(
        t.state is TrialState.RUNNING for t in trials
    )
    for trial in trials:
        assert (newest[trial.number].state is AttemptState.RUNNING) == (trial.state is TrialState.RUNNING)
        assert (trial.ended_at is not None) == trial.state.terminal
        assert trial.checkpoint_iteration <= trial.iteration or trial.checkpoint is None
        told = [e.kind for e in events if e.number == trial.number]
        running = ("trial.started", "trial.measured", "trial.progressed", "worker.replaced")
        assert told[-1] in (
            running if trial.state is TrialState.RUNNING else [f"trial.{trial.state.lower()}"]
        )
        measured = service.measurements(sweep_id, trial.number)
        assert trial.metrics in [m.metrics for m in measured] or (trial.metrics == {} and not measured)
    worked = [sweep.worker_s, sum(t.worker_s for t in trials), sum(a.worker_s for a in attempts)]
    assert worked == pytest.approx([worked[0]] * 3)
    assert max(e.epoch for e in events) == sweep.epoch
    if sweep.state.terminal:
        assert all(t.state.terminal for t in trials)
