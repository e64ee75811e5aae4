"""Runs a search on Ray Tune, which is an executor here and nothing more."""

import os
import shutil
from pathlib import Path
from typing import Any

from ray import tune

from runners.cluster import Pool
from runners.guard import Guard
from runners.ray_oom import outlive_memory_kills
from runners.ray_usage import count_no_callbacks
from runners.trainable import ASSIGNMENT, make_trainable
from runners.tune_scheduler import LoopWatch, StoreScheduler
from runners.tune_searcher import StoreSearcher
from sweeps.core.trial import Assignment, WorkerFactory
from sweeps.search import Search


def execute(
    search: Search,
    factory: WorkerFactory,
    *,
    pool: Pool,
    stall_s: float,
    scratch: Path,
    guard: Guard,
) -> None:
    """Runs until the search says that it is finished.

    Args:
        search: Says what to run.
        factory: Makes the worker of an actor, in the actor's process.
        pool: How many trials at a time, and what each holds.
        stall_s: Seconds in which nothing moves after which a worker hangs; infinity: never.
        scratch: Absolute directory for Tune's experiment, thrown away at the end.
        guard: Receives what the search raises. It is raised from here once all workers have stopped.
    """
    outlive_memory_kills()
    count_no_callbacks()
    # Below the concurrency Tune would hold back placement groups, and slots would stay empty.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(pool.workers)

    def held(config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """Tune gives a warm worker only to a trial that holds as much as its last one."""
        assignment: Assignment = config[ASSIGNMENT]
        return tune.PlacementGroupFactory([{"CPU": pool.cpus, "GPU": assignment.gpus}])

    trainable = tune.with_resources(make_trainable(factory, stall_s), held)
    searcher = StoreSearcher(search, guard)
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=StoreScheduler(search, guard, searcher),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_trial_id,
            trial_dirname_creator=_trial_id,
        ),
        run_config=tune.RunConfig(
            name="experiment",
            storage_path=str(scratch),
            callbacks=[LoopWatch(search, guard)],
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=0),  # retries are the search's
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if guard.error is not None:
        raise guard.error


def _trial_id(trial: tune.experiment.Trial) -> str:
    return str(trial.trial_id)
