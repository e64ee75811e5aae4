"""Keeps Tune from importing MLflow, and others, to count callbacks for usage statistics that are off."""

from collections.abc import Sequence

from ray.air._internal import usage


def count_no_callbacks() -> None:
    """To be called before Tune runs.

    Tune compares each callback with those for MLflow, Comet, W&B and Aim, and imports their packages for it:
    the first trial would wait for that.
    """
    usage.tag_callbacks = _counted


def _counted(callbacks: Sequence[object] | None) -> bool:
    """Whether they were."""
    return False
