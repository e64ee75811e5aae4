"""Workers that Ray's memory monitor kills.

Ray 2.60 tells of them by an OutOfMemoryError, which is neither of the two kinds of error that Tune's actor
manager knows: `_actor_task_failed` raises RuntimeError("Caught unexpected exception"), which ends the run.
"""

from typing import Any

from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError

_ours = "_masksweep_outlives_memory_kills"


def outlive_memory_kills() -> None:
    """Makes Tune take a worker that was killed for the node's memory for what it is: a dead actor."""
    original = RayActorManager._actor_task_failed
    if getattr(original, _ours, False):
        return

    def failed(self: Any, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, OutOfMemoryError):
            exception = RayActorError(error_msg=str(exception))
        original(self, tracked_actor_task, exception)

    setattr(failed, _ours, True)
    RayActorManager._actor_task_failed = failed
