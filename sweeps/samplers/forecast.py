"""What trials would score at the last rung, cautiously, from what they scored on the way.

A forecast is lowered by a standard deviation, so that a trial which was cut early counts as good only where
there is more to it than a lucky or a fast beginning.
"""

from collections.abc import Iterable, Mapping

from sweeps.core.extrapolation import Outlook
from sweeps.samplers.lessons import End, Lesson, Scores


def forecasts(lessons: Iterable[Lesson], rungs: int, objectives: int) -> Mapping[int, Scores]:
    """Cautious scores at the last rung, by number, of each trial that was measured and is not BAD or LOST.

    Args:
        lessons: Of all trials, by number.
        rungs: How many there are.
        objectives: How many there are.
    """
    known = [each for each in lessons if each.rungs and each.end not in (End.BAD, End.LOST)]
    outlook = Outlook([each.rungs for each in known], rungs, objectives)
    found: dict[int, Scores] = {}
    for lesson in known:
        rung, scores = max(lesson.rungs.items())
        found[lesson.number] = outlook.of(rung, scores, -1.0)
    return found
