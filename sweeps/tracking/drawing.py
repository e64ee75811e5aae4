"""What all pictures have in common.

Drawn without pyplot, which keeps figures in global state and is not for threads. Colours are those of Okabe
and Ito, https://jfly.uni-koeln.de/color/, which the colour-blind can tell apart; markers, line styles and
words say the same. Importing this module imports no matplotlib.
"""

import io
import logging
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLACK, BLUE, GREEN, VERMILION, GREY = "#000000", "#0072B2", "#009E73", "#D55E00", "#767676"
_DPI = 120


def new_figure(width: float, height: float, *, layout: Literal["constrained"] | None = None) -> "Figure":
    """A figure in inches. To let matplotlib find the margins takes as long again as to draw."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns of building its cache of fonts
    from matplotlib.figure import Figure  # noqa: PLC0415  (half a second, and only when there is a picture)

    return Figure(figsize=(width, height), dpi=_DPI, layout=layout)


def as_png(figure: "Figure") -> bytes:
    """A drawn figure, the same bytes every time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415

    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def plain(axes: "Axes") -> None:
    """A grid behind what is drawn, and no frame."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)
