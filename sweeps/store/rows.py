"""Rows to records."""

import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import RowMapping

from sweeps.core.errors import UnreadableSweep, why_unreadable
from sweeps.core.requests import Request, RequestKind, RequestState
from sweeps.core.states import AttemptState, SweepState, TrialState
from sweeps.core.stops import Limit
from sweeps.core.trial import Alone, AttemptFacts, Measurement, SecondTry
from sweeps.records import AttemptRecord, CurveRecord, Driver, EventRecord, SweepRecord, TrialRecord
from sweeps.warm.plan import WarmPlan, summary_document, trials_document

if TYPE_CHECKING:
    from sweeps.core.extension import Extension
    from sweeps.core.spec import Budget, SweepSpec


def sweep_record(row: RowMapping) -> SweepRecord:
    """A row of `sweeps`.

    Raises:
        UnreadableSweep: It is not what this version writes.
    """
    try:
        return _sweep_record(row)
    except Exception as error:  # whatever is wrong with one row
        raise UnreadableSweep(row["sweep_id"], why_unreadable(error)) from error


def _sweep_record(row: RowMapping) -> SweepRecord:
    driver = None
    if row["driver_host"] is not None:
        driver = Driver(row["driver_host"], row["driver_pid"], row["beat_at"])
    spec = _spec(row["spec"])
    extension, budget = _extended(spec, row["extension"])
    return SweepRecord(
        sweep_id=row["sweep_id"],
        name=row["name"],
        state=SweepState(row["state"]),
        reason=row["reason"],
        epoch=row["epoch"],
        spec=spec,
        fingerprint=row["fingerprint"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        worker_s=row["worker_s"],
        active_s=row["active_s"],
        driver=driver,
        search_ended=row["search_ended"],
        budget=budget,
        extension=extension,
        deadline_at=row["deadline_at"],
        stopped_by=None if row["stopped_by"] is None else Limit(row["stopped_by"]),
    )


def _extended(spec: "SweepSpec", document: Mapping[str, Any] | None) -> "tuple[Extension | None, Budget]":
    if document is None:
        return None, spec.budget
    from sweeps.core.extension import extended, read_extension  # noqa: PLC0415  (pydantic, and rare)

    extension = read_extension(document)
    return extension, extended(spec.budget, extension)


@lru_cache(maxsize=256)
def _spec(document: str) -> "SweepSpec":
    """The spec of a document; specs are frozen, so that one may be shared."""
    from sweeps.core.spec import spec_from_document  # noqa: PLC0415  (pydantic models are slow to import)

    return spec_from_document(document)


def trial_record(row: RowMapping | Mapping[str, Any]) -> TrialRecord:
    """A row of `find.trials_of`, or of `find.listed_trials_of`."""
    return TrialRecord(
        number=row["number"],
        state=TrialState(row["state"]),
        reason=row["reason"],
        params=row["params"],
        seed=row["seed"],
        attempt=row["attempt"],
        failures=row["failures"],
        iteration=row["iteration"],
        checkpoint=row["checkpoint"],
        checkpoint_iteration=row["checkpoint_iteration"],
        worker_s=row["worker_s"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        sampler_attrs=row["sampler_attrs"] or {},
        metrics=row["metrics"],
        measured_iteration=row["measured_iteration"],
        second_try=_second_try(row["second_try"]),
        replicate_of=row["replicate_of"],
    )


def attempt_record(row: RowMapping) -> AttemptRecord:
    """A row of `attempts`."""
    return AttemptRecord(
        number=row["number"],
        attempt=row["attempt"],
        state=AttemptState(row["state"]),
        epoch=row["epoch"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        start_iteration=row["start_iteration"],
        iteration=row["iteration"],
        worker_s=row["worker_s"],
        reason=row["reason"],
        facts=None if row["facts"] is None else _facts(row["facts"]),
        gpus=row["gpus"],
    )


def second_try_document(second_try: SecondTry) -> dict[str, str]:
    """As a JSON document, and `trial_record` makes it again."""
    return {"alone": second_try.alone.value, "because": second_try.because}


def _second_try(document: Mapping[str, str] | None) -> SecondTry | None:
    return None if document is None else SecondTry(Alone(document["alone"]), document["because"])


def facts_document(facts: AttemptFacts) -> dict[str, Any]:
    """Facts as a JSON document, and `attempt_record` makes them again."""
    return {
        "config": facts.config,
        "environment": dict(facts.environment),
        "skipped_weights": list(facts.skipped_weights),
        "started_s": facts.started_s,
    }


def _facts(document: Mapping[str, Any]) -> AttemptFacts:
    return AttemptFacts(
        config=document["config"],
        environment=document["environment"],
        skipped_weights=tuple(document["skipped_weights"]),
        started_s=document["started_s"],
    )


def measurement(row: RowMapping) -> Measurement:
    """A row of `measurements`."""
    return Measurement(row["number"], row["attempt"], row["iteration"], row["at"], row["metrics"])


def curve_record(row: RowMapping) -> CurveRecord:
    """A row of `curves`."""
    return CurveRecord(row["number"], row["attempt"], row["iteration"], row["at"], row["values"])


def event_record(row: RowMapping) -> EventRecord:
    """A row of `events`."""
    return EventRecord(
        event_id=row["event_id"],
        kind=row["kind"],
        number=row["number"],
        attempt=row["attempt"],
        epoch=row["epoch"],
        at=row["at"],
        data=row["data"],
        by=row["by"],
        sweep_id=row["sweep_id"],
    )


def request(row: RowMapping) -> Request:
    """A row of `requests`."""
    return Request(
        row["request_id"],
        row["sweep_id"],
        RequestKind(row["kind"]),
        RequestState(row["state"]),
        row["reason"],
        row["by"],
        row["at"],
        row["answered_at"],
        row["extension"],
    )


def finite(values: Mapping[str, float]) -> dict[str, float]:
    """The values that are numbers: NaN and infinity are no measurement, and JSON has no word for them."""
    limit = sys.float_info.max
    return {name: value for name, value in values.items() if -limit <= value <= limit}


def beginning_row(sweep_id: str, base: str | None, warm: WarmPlan | None) -> dict[str, Any]:
    """A row of `beginnings`, which `warm_summary` and `warm_plan` read."""
    row: dict[str, Any] = {"sweep_id": sweep_id, "base": base}
    if warm is not None:
        row |= {"warm_summary": summary_document(warm.summary), "warm_trials": trials_document(warm)}
    return row
