"""Directories that files may lie in: what a service allows, and what its drivers hold to."""

import os
from collections.abc import Sequence
from pathlib import Path

from sweeps.core.weight_addresses import is_address, is_of_hub


def real_path(path: str | Path, roots: Sequence[Path]) -> str | None:
    """A path with its links followed, or None if it is not under a root then.

    It need not exist: what is missing is told apart from what is forbidden only under a root.
    """
    try:
        found = os.path.realpath(path)
        real = [os.path.realpath(root) for root in roots]
    except (OSError, ValueError):
        return None
    inside = any(found == root or found.startswith(root.rstrip("/") + "/") for root in real)
    return found if inside else None


def is_fetched(weights: str) -> bool:
    """Whether weights come from an address that the spec chose; Detectron2's own hub is none."""
    return is_address(weights) and not is_of_hub(weights)


def where_allowed(roots: Sequence[Path]) -> str:
    """What is allowed, for people."""
    return f"needs a path under {' or '.join(map(str, roots))}" if roots else "no directory is allowed"
