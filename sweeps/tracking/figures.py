"""Pictures of an evaluation's details: a pure function of the details, the same bytes every time.

Importing this module imports no matplotlib.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sweeps.core.details import (
    EvaluationDetails,
    OperatingPoint,
    OperatingPoints,
    Reliability,
    ReliabilityBin,
    SettingScore,
    SettingScores,
)
from sweeps.core.metrics import metric_named
from sweeps.tracking.drawing import BLACK, BLUE, GREEN, GREY, VERMILION, as_png, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Rectangle


def pictures(details: EvaluationDetails) -> dict[str, bytes]:
    """PNG files by name: operating_points.png, reliability.png, settings.png, as far as there are details."""
    drawn: dict[str, bytes] = {}
    if details.operating_points is not None:
        drawn["operating_points.png"] = _operating_points(details.operating_points)
    if details.reliability is not None and (details.reliability.mask or details.reliability.box):
        drawn["reliability.png"] = _reliability(details.reliability)
    if details.settings is not None and details.settings.scores:
        drawn["settings.png"] = _settings(details.settings)
    return drawn


# -- operating points


def _operating_points(points: OperatingPoints) -> bytes:
    curve = points.overall
    best = [each for each in (curve.best_f1, curve.best_lrp) if each is not None]
    known = sorted({p.score_threshold: p for p in (*curve.points, *best)}.items())
    figure = new_figure(8.5, 5.2)
    figure.subplots_adjust(left=0.08, right=0.98, bottom=0.11, top=0.86)
    axes = figure.add_subplot()
    plain(axes)
    lines: tuple[tuple[str, str, str, str, Callable[[OperatingPoint], float | None]], ...] = (
        ("precision", BLUE, "--", "s", lambda p: p.precision),
        ("recall", GREEN, "-.", "^", lambda p: p.recall),
        ("F1", BLACK, "-", "o", lambda p: p.f1),
        ("LRP error (lower is better)", VERMILION, ":", "D", lambda p: p.lrp),
    )
    for name, colour, style, marker, value in lines:
        shown = [(x, y) for x, point in known if (y := value(point)) is not None]
        axes.plot(
            [x for x, _ in shown],
            [y for _, y in shown],
            color=colour,
            linestyle=style,
            linewidth=2,
            marker=marker,
            markersize=5,
            label=name,
        )
    if curve.best_f1 is not None:
        _mark(axes, curve.best_f1, curve.best_f1.f1, "F1", BLACK, row=1)
    if curve.best_lrp is not None:
        _mark(axes, curve.best_lrp, curve.best_lrp.lrp, "LRP", VERMILION, row=0)
    axes.set(xlim=(-0.02, 1.02), ylim=(-3, 103), xlabel="score threshold (0 to 1)", ylabel="%")
    axes.set_title(f"Operating points, all categories, mask IoU {points.iou_threshold:g}", loc="left", pad=34)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, borderaxespad=0.2)
    return as_png(figure)


def _mark(axes: "Axes", point: OperatingPoint, value: float, name: str, colour: str, *, row: int) -> None:
    """A star at the optimum, a line down to its threshold, and both in numbers at the bottom."""
    at = point.score_threshold
    axes.plot([at, at], [-3, value], color=colour, linewidth=1, linestyle=(0, (2, 3)))
    axes.plot([at], [value], marker="*", markersize=17, color=colour, markeredgecolor="white", zorder=5)
    left = at > 0.5
    axes.annotate(
        f"best {name} {value:.1f}% at {at:.2f}",
        (at, 1 + 6 * row),
        xytext=(-6 if left else 6, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        color=colour,
        bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
        zorder=6,
    )


# -- reliability


def _reliability(reliability: Reliability) -> bytes:
    figure = new_figure(10, 6)
    figure.subplots_adjust(left=0.065, right=0.985, bottom=0.09, top=0.94, wspace=0.14, hspace=0.1)
    upper, lower = figure.subplots(2, 2, sharex=True, height_ratios=(3, 1))
    _diagram(
        upper[0], lower[0], "Mask pixels", "probability", [("the object's", reliability.mask, BLUE, "o", "-")]
    )
    _diagram(
        upper[1],
        lower[1],
        "Detections",
        "score",
        [
            ("right", reliability.box, BLUE, "o", "-"),
            ("mask IoU", reliability.box_iou, VERMILION, "s", "--"),
        ],
    )
    upper[0].set_ylabel("what came true (0 to 1)")
    lower[0].set_ylabel("share, %")
    return as_png(figure)


def _diagram(
    axes: "Axes",
    below: "Axes",
    title: str,
    xlabel: str,
    series: Sequence[tuple[str, tuple[ReliabilityBin, ...], str, str, str]],
) -> None:
    """Points beside the diagonal, and how much of everything each bin holds."""
    plain(axes)
    plain(below)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    axes.text(0.97, 0.04, "too sure", color=GREY, ha="right")
    axes.text(0.03, 0.92, "too unsure", color=GREY)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.02, 1.02), title=title)
    axes.set_aspect("auto")
    below.set_xlabel(f"{xlabel} (0 to 1)")
    bins = series[0][1]
    total = sum(each.count for each in bins)
    if not total:
        axes.text(0.5, 0.5, "not measured", ha="center", va="center", bbox={"facecolor": "white"})
        return
    for name, found, colour, marker, style in series:
        error = sum(each.count * abs(each.confidence - each.accuracy) for each in found) / total * 100
        axes.plot(
            [each.confidence for each in found],
            [each.accuracy for each in found],
            color=colour,
            linestyle=style,
            linewidth=2,
            marker=marker,
            markersize=6,
            label=f"{name}, error {error:.1f}%",
        )
    axes.legend(loc="upper center", frameon=False)
    below.bar(
        [(each.low + each.high) / 2 for each in bins],
        [each.count / total * 100 for each in bins],
        width=[(each.high - each.low) * 0.9 for each in bins],
        color=BLUE,
    )
    below.text(0.5, 0.95, f"{total:,} in all", ha="center", va="top", transform=below.transAxes, color=GREY)


# -- inference settings


def _settings(settings: SettingScores) -> bytes:
    """The grid at the chosen score threshold and number of detections."""
    chosen = settings.chosen
    shown = [each for each in settings.scores if _alike(each, chosen)] or [chosen]
    masks = sorted({each.mask_threshold for each in shown})
    nms = sorted({each.nms_threshold for each in shown})
    values = {(each.nms_threshold, each.mask_threshold): each.value for each in shown}
    low, high = min(values.values()), max(values.values())
    figure = new_figure(max(7.5, 2.6 + 0.95 * len(masks)), 2.9 + 0.75 * len(nms), layout="constrained")
    axes = figure.add_subplot()
    grid = [[values.get((n, m), math.nan) for m in masks] for n in nms]
    image = axes.imshow(grid, cmap="viridis", aspect="auto", origin="lower")
    marked = {"chosen": (chosen, "-")}
    if settings.default is not None:
        marked["default"] = (settings.default, "--")
    for (n, m), value in values.items():
        words = [f"{value:.1f}"]
        colour = "white" if value < low + 0.6 * (high - low) else "black"
        at = (masks.index(m), nms.index(n))
        for name, (setting, style) in marked.items():
            if _alike(setting, chosen) and (setting.nms_threshold, setting.mask_threshold) == (n, m):
                words.append(name)
                axes.add_patch(_frame(*at, 0.03 * len(words), style, colour))
        axes.text(*at, "\n".join(words), ha="center", va="center", color=colour)
    axes.set_xticks(range(len(masks)), [f"{each:g}" for each in masks])
    axes.set_yticks(range(len(nms)), [f"{each:g}" for each in nms])
    axes.set(xlabel="mask threshold (probability)", ylabel="NMS threshold (box IoU)")
    axes.set_title(
        "\n".join(_said(name, each) for name, (each, _) in marked.items()), loc="left", fontsize=10
    )
    axes.spines[:].set_visible(False)
    metric = metric_named(settings.objective)
    words = [settings.objective] + ([metric.unit] if metric else [])
    if metric is not None and metric.goal is not None:
        words.append("higher is better" if metric.goal == "maximize" else "lower is better")
    figure.colorbar(image, ax=axes, label=", ".join(words))
    return as_png(figure)


def _alike(one: SettingScore, other: SettingScore) -> bool:
    """Whether both are in the same picture."""
    return (one.score_threshold, one.detections_per_image) == (
        other.score_threshold,
        other.detections_per_image,
    )


def _frame(column: int, row: int, inset: float, style: str, colour: str) -> "Rectangle":
    """Around a cell."""
    from matplotlib.patches import Rectangle  # noqa: PLC0415

    side = 1 - 2 * inset
    corner = (column - 0.5 + inset, row - 0.5 + inset)
    return Rectangle(corner, side, side, fill=False, edgecolor=colour, linewidth=2, linestyle=style)


def _said(name: str, setting: SettingScore) -> str:
    """A setting in words. Its value may differ from its cell's, as chosen and judged on different images."""
    return (
        f"{name}: mask {setting.mask_threshold:g}, NMS {setting.nms_threshold:g},"
        f" score {setting.score_threshold:g}, {setting.detections_per_image} detections: {setting.value:.1f}"
    )
