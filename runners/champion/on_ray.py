"""Holds a contest as a Ray task, which gets the device that a trial gets."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import ray

from runners.champion.contest import Contest, Refusal, hold
from runners.cluster import Pool
from runners.evaluation.paired import Difference
from runners.stall import StallWatch
from sweeps.core.spec import spec_from_document

POLL_S = 0.5


def hold_on_ray(contest: Contest, pool: Pool, stopped: Callable[[], bool]) -> Difference | Refusal:
    """Waits for a place in the cluster that we have joined, and holds the contest there.

    Args:
        contest: Who against whom.
        pool: Says what a trial holds, and so the task.
        stopped: Asked now and then.

    Raises:
        KeyboardInterrupt: `stopped` said so; the task is ended.
    """
    task = ray.remote(num_cpus=pool.cpus, num_gpus=pool.gpus, max_retries=1)(_watched)
    stall_s = spec_from_document(contest.candidate.spec).resources.stall_s
    running = task.remote(hold, contest, stall_s)
    while True:
        done, _ = ray.wait([running], timeout=POLL_S)
        if done:
            break
        if stopped():
            with contextlib.suppress(Exception):
                ray.cancel(running, force=True)
            raise KeyboardInterrupt
    try:
        found: Difference | Refusal = ray.get(running)
    except ray.exceptions.RayError as error:  # its process died, as of memory, and so did the second one
        line = next(iter(str(error).strip().splitlines()), "")
        return Refusal(f"the process that evaluated them died: {line}"[:500])
    return found


def _watched(
    hold: Callable[[Contest], Difference | Refusal], contest: Contest, stall_s: float
) -> Difference | Refusal:
    with StallWatch(stall_s).over(Path(os.devnull)):
        return hold(contest)
