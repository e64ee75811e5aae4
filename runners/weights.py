"""Whether a base's weights are there: asked before a sweep is created, and without torch."""

from runners.regular_files import require_regular
from search_spaces.issues import SpecIssue
from sweeps.core.weight_addresses import address_problem, is_address


def weights_issue(weights: str, hint: str | None = None) -> SpecIssue | None:
    """What is wrong with the file that trials are to start from, or None.

    Args:
        weights: `MODEL.WEIGHTS`: a path, a URL, which is not fetched, or nothing.
        hint: What to do if it cannot be read.
    """
    if not weights:
        return None
    if is_address(weights):
        wrong = address_problem(weights)
        return SpecIssue("base.weights", wrong[0], hint or wrong[1]) if wrong else None
    try:
        require_regular(weights)
        return None
    except FileNotFoundError:
        return SpecIssue("base.weights", f"no such file: {weights}", hint)
    except OSError as error:
        return SpecIssue("base.weights", f"cannot read {weights}: {error.strerror}", hint)
