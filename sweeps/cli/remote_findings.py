"""`plan`, `importance`, `mirror`, `knobs` and `metrics` against a service."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.cli.columns import Column, fitted_table
from sweeps.cli.knobs import knobs_table
from sweeps.cli.metrics import metrics_table
from sweeps.cli.output import data, print_error, print_json, words
from sweeps.cli.progress_view import duration
from sweeps.core.errors import SpecInvalid

if TYPE_CHECKING:
    from sweeps.client import Client

MIRROR_S = 900.0
"""Seconds that a service may take to mirror a sweep from nothing."""


def plan(client: "Client", path: Path, text: str, *, workers: int | None, as_json: bool) -> int:
    """Prints what a spec would cost, as far as the service knows without training.

    Returns:
        The exit code: 0, or 2 if the spec has problems, which are printed.
    """
    params = {} if workers is None else {"workers": workers}
    try:
        answer = client.post("/plan", text=text, params=params)
    except SpecInvalid as error:
        print_error(error, str(path))
        return 2
    if as_json:
        print_json(answer)
        return 0
    data.print(_plan_table(answer))
    for note in answer["notes"]:
        words.print(f"note: {note}", markup=False)
    words.print("\nhint: a service trains nothing to plan; plan where the data is does", markup=False)
    return 0


def _plan_table(answer: Mapping[str, Any]) -> Any:
    spans = {f"trials, {answer['workers']} at a time": (answer["trials"], "{:.0f}")}
    spans |= {
        f"  evaluated at {rung} iterations": (span, "{:.0f}") for rung, span in answer["per_rung"].items()
    }
    spans["replicates of finalists"] = answer["replicates"], "{:.0f}"
    spans["iterations"] = answer["iterations"], "{:.0f}"
    spans["worker hours"] = answer["worker_hours"], "{:.3g}"
    spans["GPU-hours"] = answer["gpu_hours"], "{:.3g}"

    def cells(end: str) -> tuple[str, ...]:
        told = tuple("not known" if span is None else form.format(span[end]) for span, form in spans.values())
        wall = answer["wall_s"]
        return (*told, "not known" if wall is None else duration(wall[end]))

    columns = [Column("", (*spans, "time"), left=True)]
    columns += [
        Column(head, cells(end)) for head, end in (("from", "low"), ("to", "high"), ("likely", "likely"))
    ]
    return fitted_table(columns, data.width)


def importance(client: "Client", sweep_id: str, iterations: int | None, *, as_json: bool) -> None:
    """Prints which knobs mattered."""
    from sweeps.cli.importance import print_importance  # noqa: PLC0415 - imports Optuna
    from sweeps.importance import importance_from  # noqa: PLC0415 - imports Optuna

    answer = client.get(f"/sweeps/{sweep_id}/importance", iterations=iterations)
    if as_json:
        print_json(answer)
        return
    rungs = client.get(f"/sweeps/{answer['sweep_id']}")["spec"]["fidelity"]["rungs"]
    print_importance([importance_from(each) for each in answer["objectives"]], rungs[-1])


def mirror(client: "Client", sweep_id: str, *, as_json: bool) -> None:
    """Lets the service bring its MLflow up to its store."""
    answer = client.post(f"/sweeps/{sweep_id}/mirror", timeout_s=MIRROR_S)
    if as_json:
        print_json(answer)
    elif answer["compare_url"]:
        data.print(f"compare: {answer['compare_url']}", markup=False, soft_wrap=True)


def knobs(client: "Client", *, as_json: bool) -> None:
    """Prints the knobs that the service knows."""
    answer = client.get("/knobs")
    if as_json:
        print_json(answer)
    else:
        data.print(knobs_table(answer["knobs"]))


def metrics(client: "Client", *, as_json: bool) -> None:
    """Prints the metrics that the service knows."""
    rows = [
        {**row, "goal": row["goal"] if row["judges"] else None} for row in client.get("/metrics")["metrics"]
    ]
    for row in rows:
        del row["judges"]
    if as_json:
        print_json({"metrics": rows})
    else:
        data.print(metrics_table(rows))
