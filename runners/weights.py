"""Whether a base's weights are there: asked before a sweep is created, and without torch."""

from runners.regular_files import require_regular
from search_spaces.issues import SpecIssue


def weights_issue(weights: str, hint: str | None = None) -> SpecIssue | None:
    """What is wrong with the file that trials are to start from, or None.

    Args:
        weights: `MODEL.WEIGHTS`: a path, a URL, which is not looked at, or nothing.
        hint: What to do if it cannot be read.
    """
    if not weights or "://" in weights:
        return None
    try:
        require_regular(weights)
        return None
    except FileNotFoundError:
        return SpecIssue("base.weights", f"no such file: {weights}", hint)
    except OSError as error:
        return SpecIssue("base.weights", f"cannot read {weights}: {error.strerror}", hint)
