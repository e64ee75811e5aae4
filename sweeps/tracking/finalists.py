"""What MLflow shows of finalists that were run again: means, sample deviations and counts of runs."""

from collections.abc import Iterable, Mapping

from sweeps.core.finals import Finals
from sweeps.core.replicates import Result, Spread, metrics_of
from sweeps.records import SweepRecord, TrialRecord
from sweeps.tracking.picture import Point, points_of


def finalist_points(result: Result[TrialRecord], shown: int) -> list[Point]:
    """Of a finalist's own run, for each number of runs beyond `shown`; `step` is that number, from 2.

    Runs count in the order in which they ended, so that the points are the same whenever they are asked for.
    """
    runs = sorted(result.runs, key=lambda run: (run.ended_at or 0.0, run.number))
    points: list[Point] = []
    for n in range(max(2, shown + 1), len(runs) + 1):
        points += _points(metrics_of(runs[:n]), runs[n - 1].ended_at, n)
    return points


def winner_points(sweep: SweepRecord, trials: Iterable[TrialRecord]) -> tuple[int, list[Point]]:
    """Of the parent run: the leader's, once the sweep has ended; with how many replicates had by then.

    That number is the `step`: a sweep that goes on and ends again has another.
    """
    trials = list(trials)
    ended = sum(trial.replicate_of is not None for trial in trials)
    if not ended or not sweep.state.terminal:
        return 0, []
    ahead = Finals(sweep.spec).leader(trials, settled=True)
    if ahead is None or ahead.result is None or len(ahead.result.runs) < 2:
        return ended, []
    return ended, _points(ahead.result.metrics, sweep.ended_at, ended)


def _points(metrics: Mapping[str, Spread], at: float | None, step: int) -> list[Point]:
    values: dict[str, float] = {}
    for name, spread in metrics.items():
        values[f"{name}_mean"] = spread.mean
        values[f"{name}_n"] = spread.n
        if spread.deviation is not None:
            values[f"{name}_std"] = spread.deviation
    return points_of(values, "replicates/", at or 0.0, step)
