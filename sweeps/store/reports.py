"""Takes a worker's report into the store."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.engine import Connection

from sweeps.core.details import details_document
from sweeps.core.states import AttemptState, TrialState
from sweeps.core.trial import Report
from sweeps.records import Claim, Outcome, TrialRecord
from sweeps.store import rows, sql


class LateReportError(Exception):
    """Rolls a transaction back: the trial does not run the attempt that reports."""


def take_report(
    connection: Connection,
    claim: Claim,
    report: Report,
    outcome: Outcome,
    *,
    sampler_attrs: Mapping[str, Any] | None,
    now: float,
) -> None:
    """The body of `SweepService.record`, after the fence.

    Raises:
        LateReportError: The trial does not run that attempt any more.
    """
    key = sql.Key(claim.sweep_id, report.number, report.attempt)
    metrics = None if report.metrics is None else rows.finite(report.metrics)
    measured = metrics is not None and sql.add_measurement(
        connection,
        {
            "sweep_id": key.sweep_id,
            "number": key.number,
            "iteration": report.iteration,
            "attempt": key.attempt,
            "at": report.at,
            "metrics": metrics,
            "decision": outcome.decision.value,
        },
    )
    if measured and report.details is not None:
        sql.add_details(
            connection,
            {
                "sweep_id": key.sweep_id,
                "number": key.number,
                "iteration": report.iteration,
                "document": details_document(report.details),
            },
        )
    values, back = _progress(report, outcome, now)
    if measured:
        values |= {"metrics": metrics, "measured_iteration": report.iteration}
    if sampler_attrs is not None:
        values["sampler_attrs"] = sampler_attrs
    if outcome.second_try is not None:
        values["second_try"] = rows.second_try_document(outcome.second_try)
    statement = sql.REPORT_TRIAL_BACK if back else sql.REPORT_TRIAL
    if not sql.move_trial(connection, key, TrialState.RUNNING, outcome.state, values, statement=statement):
        raise LateReportError
    if measured and metrics is not None:
        sql.put_values(connection, key, metrics)
    _tell_attempt(connection, key, report, outcome, now)
    if report.curve:
        sql.put_curve(connection, _points(key, report))
    if report.fell_back is not None:
        fallen = {"iteration": report.fell_back.iteration, "reason": report.fell_back.reason}
        sql.add_trial_event(connection, claim, key, "trial.fell_back", now, data=fallen)
    kind, data = _told(report, outcome, measured)
    sql.add_trial_event(connection, claim, key, kind, now, data=data)


def after_report(
    trial: TrialRecord, report: Report, outcome: Outcome, sampler_attrs: Mapping[str, Any], first: bool
) -> TrialRecord:
    """The trial as the store has it once the report is recorded; `first`: its rung had no measurement yet."""
    if report.checkpoint is not None:
        trial = replace(trial, checkpoint=report.checkpoint, checkpoint_iteration=report.iteration)
    back = outcome.state is TrialState.QUEUED and report.checkpoint is None
    return replace(
        trial,
        state=outcome.state,
        reason=outcome.reason,
        failures=trial.failures + _blamed(report),
        iteration=trial.checkpoint_iteration if back else report.iteration,
        worker_s=trial.worker_s + report.worker_s,
        metrics=report.metrics if first and report.metrics is not None else trial.metrics,
        measured_iteration=report.iteration if first else trial.measured_iteration,
        sampler_attrs=sampler_attrs,
        second_try=outcome.second_try or trial.second_try,
    )


def _blamed(report: Report) -> bool:
    return report.failure is not None and report.failure.kind.blames_trial


def _progress(report: Report, outcome: Outcome, now: float) -> tuple[dict[str, Any], bool]:
    """The trial's columns after a report, and whether it falls back to its checkpoint."""
    values: dict[str, Any] = {
        "more_s": report.worker_s,
        "failed": int(_blamed(report)),
        "reason": outcome.reason,
        "iteration": report.iteration,
    }
    if outcome.state.terminal:
        values["ended_at"] = now
    if report.checkpoint is not None:
        values |= {"checkpoint": report.checkpoint, "checkpoint_iteration": report.iteration}
    elif outcome.state is TrialState.QUEUED:
        del values["iteration"]
        return values, True
    return values, False


def _tell_attempt(connection: Connection, key: sql.Key, report: Report, outcome: Outcome, now: float) -> None:
    values: dict[str, Any] = {"iteration": report.iteration}
    if report.fell_back is not None:
        values["start_iteration"] = report.fell_back.iteration
    if report.facts is not None:
        values["facts"] = rows.facts_document(report.facts)
    state = _attempt_state(report, outcome)
    if state is not AttemptState.RUNNING:
        values |= {"reason": outcome.reason, "ended_at": now}
    if not sql.move_attempt(connection, key, state, values, worker_s=report.worker_s):
        raise LateReportError


def _attempt_state(report: Report, outcome: Outcome) -> AttemptState:
    if outcome.state is TrialState.RUNNING:
        return AttemptState.RUNNING
    if outcome.state is TrialState.QUEUED:
        return AttemptState.PAUSED if report.failure is None else AttemptState.LOST
    return AttemptState.ENDED


def _points(key: sql.Key, report: Report) -> list[dict[str, Any]]:
    return [
        {
            "sweep_id": key.sweep_id,
            "number": key.number,
            "attempt": key.attempt,
            "iteration": point.iteration,
            "at": point.at,
            "values": rows.finite(point.values),
        }
        for point in report.curve
    ]


def _told(report: Report, outcome: Outcome, measured: bool) -> tuple[str, dict[str, Any]]:
    """An event's kind and data."""
    data: dict[str, Any] = {"iteration": report.iteration}
    if report.metrics is not None:
        data |= {"decision": outcome.decision.value, "measured": measured}
    if report.checkpoint is not None:
        data["checkpoint"] = report.checkpoint
    if outcome.reason is not None:
        data["reason"] = outcome.reason
    if outcome.second_try is not None:
        data["second_try"] = outcome.second_try.alone.value
    if report.failure is not None:
        failure = report.failure
        data["failure"] = {"kind": failure.kind.value, "message": failure.message, "detail": failure.detail}
    if outcome.state is TrialState.RUNNING:
        return ("trial.measured" if measured else "trial.progressed"), data
    return f"trial.{outcome.state.value.lower()}", data
