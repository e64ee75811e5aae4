"""`masksweep evaluate`: scores a file of predictions."""

from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from sweeps.cli.output import data, print_error, print_json, stdout_kept_clean
from sweeps.core.errors import SpecInvalid
from sweeps.launchers.runner import SCORING, Evaluation, IouType, load_runner

SUMMARY = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
EXIT_OK, EXIT_USER = 0, 2


def evaluate_predictions(
    gt: Path, predictions: Path, iou_type: IouType, *, max_detections: int, as_json: bool
) -> int:
    """Prints what the predictions are worth, or every problem of the files; returns the exit code."""
    try:
        with stdout_kept_clean():
            evaluation = load_runner(SCORING).evaluate(
                gt, predictions, iou_type, max_detections=max_detections
            )
    except SpecInvalid as error:
        print_error(error, "evaluate")
        return EXIT_USER
    document = evaluation_document(evaluation, iou_type, max_detections)
    if as_json:
        print_json(document)
    else:
        data.print(evaluation_table(document))
    return EXIT_OK


def evaluation_document(evaluation: Evaluation, iou_type: IouType, max_detections: int) -> dict[str, Any]:
    """The evaluation as data: percentages, null where nothing could be measured."""
    metrics = evaluation.metrics
    summary = {f"{iou_type}/{name}" for name in SUMMARY}
    categories = {f"{iou_type}/AP-{name}" for name in evaluation.categories}
    return {
        **{name: metrics.get(f"{iou_type}/{name}") for name in SUMMARY},
        "per_category": {name: metrics.get(f"{iou_type}/AP-{name}") for name in evaluation.categories},
        "more": {name: value for name, value in metrics.items() if name not in summary | categories},
        "iou_type": iou_type,
        "max_detections": max_detections,
        "images": evaluation.images,
        "instances": evaluation.instances,
        "detections": evaluation.detections,
    }


def evaluation_table(document: dict[str, Any]) -> Table:
    """The evaluation for people."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column(document["iou_type"], no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    rows = {name: document[name] for name in SUMMARY}
    rows |= {f"AP-{name}": value for name, value in document["per_category"].items()}
    for name, value in (rows | document["more"]).items():
        shown = "not measured" if value is None else f"{value:.0f}" if "count/" in name else f"{value:.2f}"
        table.add_row(Text(name), shown)  # categories may be called what rich takes for markup
    return table
