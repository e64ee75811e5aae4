"""What a sweep's trials are, what they measured, and which of them are best."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from sweeps.api import documents, models
from sweeps.api.context import CoreHere, SweepId, Viewer
from sweeps.api.cursors import read_cursor, write_cursor
from sweeps.api.problems import NOT_FOUND, Refused
from sweeps.api.sorting import BY_NUMBER, larger_is_better, metric_to_sort_by
from sweeps.core.errors import WrongState
from sweeps.core.finals import Finals
from sweeps.core.states import TrialState

router = APIRouter(prefix="/api/v1/sweeps/{sweep_id}", tags=["trials"])

MOST = 2**31 - 1
Limit = Annotated[int, Query(ge=1, le=500, description="Items of a page.")]
Cursor = Annotated[str | None, Query(max_length=2000, description="`next` of the page before.")]


@router.get("/trials", summary="List a sweep's trials")
def list_trials(
    core: CoreHere,
    _: Viewer,
    sweep_id: SweepId,
    state: Annotated[list[TrialState], Query(description="In one of these states.")] = [],  # noqa: B006
    sort: Annotated[
        str,
        Query(
            max_length=300,
            pattern=r"^[^\x00]+$",
            description="`number`, or a metric of the last rung; trials without a value come last.",
            examples=["segm/AP"],
        ),
    ] = BY_NUMBER,
    order: Annotated[
        Literal["asc", "desc"] | None, Query(description="By default a metric's better end first.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> models.TrialsPage:
    """Some trials by number, or by any metric, and where the next page begins."""
    sweep = core.service.sweep(sweep_id)
    metric = metric_to_sort_by(core, sweep, sort)
    descending = order == "desc" if order else metric is not None and larger_is_better(metric)
    kind = f"trials {sort} {descending}"
    after = read_cursor(kind, cursor, (int,) if metric is None else (float, int))
    page = core.listing.trials(
        sweep.sweep_id, limit=limit, after=after, states=state, metric=metric, descending=descending
    )
    trials = [documents.trial_out(trial) for trial in page.items]
    return models.TrialsPage(trials=trials, next=write_cursor(kind, page.after))


@router.get("/trials/{number}", summary="Look at a trial")
def get_trial(
    core: CoreHere, _: Viewer, sweep_id: SweepId, number: Annotated[int, Path(ge=0, le=MOST)]
) -> models.TrialOut:
    """One trial."""
    sweep = core.service.sweep(sweep_id)
    try:
        return documents.trial_out(core.listing.trial(sweep.sweep_id, number))
    except WrongState as error:
        raise Refused(NOT_FOUND, str(error), "trials are counted from 0") from error


@router.get("/measurements", summary="List what was measured")
def list_measurements(
    core: CoreHere,
    _: Viewer,
    sweep_id: SweepId,
    number: Annotated[int | None, Query(ge=0, le=MOST, description="Of this trial alone.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> models.MeasurementsPage:
    """Some measurements by trial and rung, and where the next page begins."""
    sweep = core.service.sweep(sweep_id)
    kind = f"measurements {number}"
    after = read_cursor(kind, cursor, (int, int))
    page = core.listing.measurements(sweep.sweep_id, limit=limit, after=after, number=number)
    found = [documents.measurement_out(each) for each in page.items]
    return models.MeasurementsPage(measurements=found, next=write_cursor(kind, page.after))


@router.get("/leaderboard", summary="Rank a sweep's trials")
def leaderboard(
    core: CoreHere,
    _: Viewer,
    sweep_id: SweepId,
    limit: Annotated[int, Query(ge=1, le=500, description="The best so many.")] = 50,
) -> models.LeaderboardOut:
    """The best first: constraints kept, then what was not given up, then the value."""
    sweep = core.service.sweep(sweep_id)
    trials, finals, settled = core.service.trials(sweep.sweep_id), Finals(sweep.spec), sweep.state.terminal
    return models.LeaderboardOut(
        objectives=documents.objectives(sweep),
        standings=documents.standings(finals.ranked(trials, settled=settled)[:limit]),
        front=[standing.number for standing in finals.front(trials, settled=settled)],
    )


@router.get("/pareto", summary="The Pareto set of a sweep")
def pareto(core: CoreHere, _: Viewer, sweep_id: SweepId) -> models.ParetoOut:
    """The trials that no other dominates; with one objective those that share the best value."""
    sweep = core.service.sweep(sweep_id)
    trials = core.service.trials(sweep.sweep_id)
    front = Finals(sweep.spec).front(trials, settled=sweep.state.terminal)
    return models.ParetoOut(objectives=documents.objectives(sweep), standings=documents.standings(front))
