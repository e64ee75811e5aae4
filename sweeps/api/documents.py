"""Records of the store as what the API answers with."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from sweeps.api import models
from sweeps.core.finals import Finals, Standing
from sweeps.core.requests import Request
from sweeps.core.states import TrialState
from sweeps.core.trial import Measurement
from sweeps.records import EventRecord, SweepRecord, Token, TrialRecord
from sweeps.service import SweepService
from sweeps.store.overview import Overview

_OPEN_STATES = (TrialState.QUEUED, TrialState.RUNNING)


def etag(sweep: SweepRecord) -> str:
    """Names a sweep's state, epoch and budget: who acts on another one than it has seen can be told so."""
    extension = None if sweep.extension is None else sweep.extension.document()
    seen = [
        sweep.sweep_id,
        sweep.state,
        sweep.epoch,
        sweep.reason,
        extension,
        sweep.deadline_at,
        sweep.stopped_by,
        sweep.search_ended,
    ]
    return f'"{hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:20]}"'


def document_etag(sweep: SweepRecord, document: str) -> str:
    """Names all that a document of a sweep says; begins with what `etag` names, for who acts on it."""
    rest = hashlib.sha256(document.encode()).hexdigest()[:20]
    return f'{etag(sweep)[:-1]}.{rest}"'


def counts(by_state: Mapping[TrialState, int]) -> models.Counts:
    """How many trials there are."""
    total = sum(by_state.values())
    running = sum(by_state.get(state, 0) for state in _OPEN_STATES)
    return models.Counts(total=total, ended=total - running, by_state=dict(by_state))


def best(service: SweepService, sweep: SweepRecord) -> models.Best | None:
    """Who leads a sweep, or None before the first measurement."""
    ahead = Finals(sweep.spec).leader(service.trials(sweep.sweep_id), settled=sweep.state.terminal)
    return (
        None
        if ahead is None
        else models.Best(number=ahead.number, metrics=dict(ahead.metrics), runs=_runs(ahead))
    )


def sweep_row(
    sweep: SweepRecord,
    by_state: Mapping[TrialState, int],
    best: models.Best | None = None,
    note: str | None = None,
) -> models.SweepRow:
    """A sweep in a list."""
    return models.SweepRow(
        sweep_id=sweep.sweep_id,
        name=sweep.name,
        state=sweep.state,
        reason=sweep.reason,
        created_at=sweep.created_at,
        started_at=sweep.started_at,
        ended_at=sweep.ended_at,
        trials=counts(by_state),
        budget_trials=sweep.budget.trials,
        best=best,
        note=note,
        objectives=objectives(sweep),
    )


def sweep_out(found: Overview) -> models.SweepOut:
    """A sweep with everything that does not grow with its trials."""
    sweep = found.sweep
    return models.SweepOut(
        **sweep_row(sweep, found.states, note=found.note).model_dump(),
        epoch=sweep.epoch,
        spec=sweep.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
        fingerprint=sweep.fingerprint or None,
        budget=sweep.budget.model_dump(mode="json", by_alias=True, exclude_none=True),
        extension=None if sweep.extension is None else sweep.extension.document(),
        deadline_at=sweep.deadline_at,
        stopped_by=None if sweep.stopped_by is None else sweep.stopped_by.value,
        worker_s=sweep.worker_s,
        gpu_s=found.gpu_s,
        active_s=sweep.active_s,
        driver=None if sweep.driver is None else models.DriverOut(**asdict(sweep.driver)),
        requests=[request_out(request) for request in found.requests],
        created_by=found.created_by,
        warm_start=None if found.warm is None else str(found.warm),
    )


def objectives(sweep: SweepRecord) -> list[models.ObjectiveOut]:
    """What a sweep looks for."""
    return [models.ObjectiveOut(metric=each.metric, goal=each.goal) for each in sweep.spec.objectives]


def request_out(request: Request) -> models.RequestOut:
    """A request."""
    return models.RequestOut.model_validate(request, from_attributes=True)


def trial_out(trial: TrialRecord) -> models.TrialOut:
    """A trial."""
    return models.TrialOut.model_validate(trial, from_attributes=True)


def standings(order: Sequence[Standing[TrialRecord]]) -> list[models.StandingOut]:
    """Trials as they are ranked."""
    return [
        models.StandingOut(
            number=each.number, metrics=dict(each.metrics), runs=_runs(each), trial=trial_out(each.trial)
        )
        for each in order
    ]


def _runs(standing: Standing[TrialRecord]) -> int:
    return len(standing.result.runs) if standing.result else 1


def measurement_out(each: Measurement) -> models.MeasurementOut:
    """A measurement."""
    return models.MeasurementOut.model_validate(each, from_attributes=True)


def event_out(event: EventRecord) -> models.EventOut:
    """An event."""
    return models.EventOut.model_validate(event, from_attributes=True)


def token_out(token: Token) -> models.TokenOut:
    """A token, of which there is no secret to tell."""
    return models.TokenOut(**asdict(token))
