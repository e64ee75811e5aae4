"""Finds a sweep's place in MLflow from the rows that tell what was mirrored."""

from itertools import islice

from sweeps.core.finals import Finals
from sweeps.records import TrialRecord
from sweeps.service import SweepService
from sweeps.store.marks import SWEEP, Marks, item_of
from sweeps.tracking.links import MAX_COMPARED, MlflowLinks, compare_url, redacted


def find_links(
    service: SweepService,
    shown_already: Marks,
    uri: str,
    sweep_id: str,
    *,
    between: tuple[float | None, float | None] = (None, None),
) -> MlflowLinks:
    """Where to find a sweep, as far as it was mirrored; asks the store only.

    Args:
        service: On the store.
        shown_already: What MLflow was sent.
        uri: Of MLflow.
        sweep_id: The sweep.
        between: Two moments, in seconds since the Unix epoch: only trials that ran between them are
            compared. None: from the first on, or up to the last.

    Raises:
        UnknownSweep: There is no such sweep.
    """
    sweep = service.sweep(sweep_id)
    marks = shown_already.load(sweep.sweep_id)
    parent = marks.get(SWEEP)
    if parent is None:
        return MlflowLinks(redacted(uri), None, None, None)
    finals, trials = Finals(sweep.spec), service.trials(sweep.sweep_id)
    order = finals.ranked(trials, settled=sweep.state.terminal)
    attempts = {trial.number: trial for trial in trials}
    best = [attempts[number] for standing in order for number in finals.runs_of(standing)]
    best = [trial for trial in best if _ran_between(trial, *between)]
    shown = (marks.get(item_of(trial.number, trial.attempt)) for trial in best)
    runs = list(islice((mark.run_id for mark in shown if mark and mark.run_id), MAX_COMPARED))
    link = compare_url(uri, parent.experiment_id, runs)
    return MlflowLinks(redacted(uri), parent.experiment_id, parent.run_id, link)


def _ran_between(trial: TrialRecord, since: float | None, until: float | None) -> bool:
    begun = until is None or trial.started_at <= until
    return begun and (since is None or trial.ended_at is None or trial.ended_at >= since)
