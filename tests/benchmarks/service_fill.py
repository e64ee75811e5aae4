"""A store and an MLflow database of the size that a busy team has after a year, filled by SQL in bulk.

One sweep of 10,000 trials, each measured at 100 rungs: 1,000,000 measurements of ten metrics each, and as
many events.
"""

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from sweeps.core.states import SweepState
from sweeps.service import SweepService
from sweeps.testing import make_spec

TRIALS, RUNGS = 10_000, 100
METRICS = (
    "segm/AP", "segm/AP50", "segm/AP75", "segm/APs", "segm/APm", "segm/APl", "segm/AP_tiny", "bbox/AP",
    "boundary/AP", "latency/ms_per_image",
)  # fmt: skip
_VALUES = ", ".join(f"'{name}', 60 * random()" for name in METRICS)
_FILL = (
    "SET session_replication_role = replica",  # the rows fit: a check of each would take most of the time
    f"""INSERT INTO measurements (sweep_id, number, iteration, attempt, at, metrics, decision)
    SELECT :sweep, n, k, 1, 1e9 + k, json_build_object({_VALUES})::text, 'continue'
    FROM generate_series(0, {TRIALS - 1}) n, generate_series(1, {RUNGS}) k""",
    f"""INSERT INTO trials (sweep_id, number, state, params, seed, attempt, failures, iteration,
        checkpoint_iteration, worker_s, started_at, ended_at, sampler_attrs, metrics,
        measured_iteration)
    SELECT :sweep, number, (ARRAY['COMPLETED', 'PRUNED', 'INFEASIBLE'])[1 + number % 3],
        json_build_object('solver.base_lr', random(), 'mask_head.num_conv', number % 8)::text,
        number, 1, 0, {RUNGS}, 0, 60, 1e9, 1e9 + 60, '{{}}', metrics, {RUNGS}
    FROM measurements WHERE iteration = {RUNGS}""",
    f"""INSERT INTO attempts (sweep_id, number, attempt, state, epoch, started_at, ended_at, start_iteration,
        iteration, worker_s, gpus)
    SELECT :sweep, number, 1, 'ENDED', 1, 1e9, 1e9 + 60, 0, {RUNGS}, 60, 1 FROM trials""",
    """INSERT INTO events (sweep_id, number, attempt, epoch, at, kind, data)
    SELECT :sweep, number, 1, 1, at, 'trial.measured', json_build_object('iteration', iteration)::text
    FROM measurements""",
    """INSERT INTO trial_values (sweep_id, number, name, value)
    SELECT sweep_id, number, e.key, e.value::float8 FROM trials, json_each_text(metrics::json) e""",
    "SET session_replication_role = DEFAULT",
)


def fill_store(engine: Engine) -> str:
    """The id of the large sweep. The engine's store is an empty one on PostgreSQL."""
    service = SweepService(engine)
    made = service.create(make_spec(objectives=[{"metric": "segm/AP"}]), fingerprint="", now=1.0)
    claim = service.claim(made.sweep_id, 2.0)
    service.finish(claim, SweepState.COMPLETED, None, 3.0)
    with engine.begin() as connection:
        for statement in _FILL:
            connection.execute(sa.text(statement), {"sweep": made.sweep_id} if ":sweep" in statement else {})
    _analyze(engine)
    return made.sweep_id


_RUNS = (
    "SET session_replication_role = replica",
    f"""INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status,
        start_time, end_time, source_version, lifecycle_stage, artifact_uri, experiment_id)
    SELECT md5(n::text), 'trial-' || n, 'LOCAL', '', '', 'team', 'FINISHED', 1000000000000 + n,
        1000000060000 + n, '', 'active', 'file:///artifacts/' || n, :experiment
    FROM generate_series(0, {TRIALS - 1}) n""",
    """INSERT INTO metrics (run_uuid, key, value, timestamp, step, is_nan)
    SELECT r.run_uuid, :name, 60 * random(), 1000000000000 + k, k, false
    FROM runs r, generate_series(1, :rungs) k""",
    """INSERT INTO latest_metrics (run_uuid, key, value, timestamp, step, is_nan)
    SELECT r.run_uuid, k, 60 * random(), 1000000000100, 100, false
    FROM runs r, unnest(CAST(:names AS text[])) k""",
    """INSERT INTO params (run_uuid, key, value)
    SELECT r.run_uuid, k, random()::text
    FROM runs r, unnest(ARRAY['solver.base_lr', 'mask_head.num_conv']) k""",
    """INSERT INTO tags (run_uuid, key, value) SELECT run_uuid, 'mlflow.runName', name FROM runs""",
    "SET session_replication_role = DEFAULT",
)


def fill_mlflow(engine: Engine, experiment_id: str) -> None:
    """As many runs with the same metrics and params; one metric has a history, which no list reads."""
    bound = {"experiment": int(experiment_id), "name": METRICS[0], "rungs": RUNGS, "names": list(METRICS)}
    with engine.begin() as connection:
        for statement in _RUNS:
            connection.execute(
                sa.text(statement), {key: value for key, value in bound.items() if f":{key}" in statement}
            )
    _analyze(engine)


def _analyze(engine: Engine) -> None:
    """What the server does by itself within a minute."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE"))
