"""What mattered in a sweep, as files of its parent run."""

import json
from collections.abc import Sequence

from sweeps.core.spec import SweepSpec
from sweeps.core.trial import Measurement
from sweeps.importance import Importance, importance_document, importances
from sweeps.records import TrialRecord
from sweeps.tracking.drawing import BLUE, GREY, as_png, new_figure, plain

_SURE = 0.05


def importance_files(
    spec: SweepSpec, trials: Sequence[TrialRecord], measurements: Sequence[Measurement]
) -> dict[str, str | bytes]:
    """importance.json and importance.png; neither where too few trials were measured to tell."""
    found = importances(spec, trials, measurements)
    drawn = [each for each in found if each.knobs]
    if not drawn:
        return {}
    document = json.dumps(importance_document(found), indent=2)
    return {"importance.json": document, "importance.png": _picture(drawn)}


def _picture(found: Sequence[Importance]) -> bytes:
    """Bars, an objective below the other; what may be chance is grey, and says so."""
    rows = [len(each.knobs) for each in found]
    figure = new_figure(8.5, 0.9 * len(rows) + 0.34 * sum(rows), layout="constrained")
    for axes, each in zip(
        figure.subplots(len(rows), squeeze=False, height_ratios=rows)[:, 0], found, strict=True
    ):
        knobs = each.knobs[::-1]
        sure = [knob.by_chance < _SURE for knob in knobs]
        plain(axes)
        bars = axes.barh(
            [knob.name for knob in knobs],
            [100 * knob.importance for knob in knobs],
            color=[BLUE if surely else GREY for surely in sure],
        )
        words = [f"{knob.by_chance:.0%} by chance" for knob in knobs]
        axes.bar_label(bars, words, padding=4, fontsize=8)
        axes.set(xlim=(0, 118), xlabel="importance (%)")
        title = f"{each.metric}: the best {each.best} of {each.trials} trials at {each.iteration} iterations"
        axes.set_title(title, loc="left", fontsize=10)
    return as_png(figure)
