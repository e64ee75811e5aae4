"""Sweeps, or trials of sweeps, side by side: as one JSON document, and as a table of it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Group

from sweeps.cli.columns import Column, fits, fitted_table, natural_width
from sweeps.core.errors import UserError
from sweeps.core.finals import Finals, Standing
from sweeps.core.metrics import metric_named
from sweeps.core.replicates import label
from sweeps.core.spec import spec_document
from sweeps.records import SweepRecord, TrialRecord

_ALWAYS = ("segm/AP", "segm/AP50", "segm/APs", "bbox/AP", "latency/ms_per_image")
_MOST_SHOWN = 120  # characters of a list or a mapping in a table
_NARROW = Column("", ("12 COMPLETED, 3 runs",))  # what is folded into less is hard to read


@dataclass(frozen=True, slots=True)
class Entry:
    """One that is compared.

    Attributes:
        sweep: The sweep,
        trials: all of its trials,
        number: and the trial that is meant; None: its leader.
        compare_url: MLflow's comparison of its finalists, or None.
        nights: The nights that it was of, as JSON.
    """

    sweep: SweepRecord
    trials: list[TrialRecord]
    number: int | None
    compare_url: str | None
    nights: Sequence[Mapping[str, Any]]

    @property
    def name(self) -> str:
        """As the command line has it: the sweep's id, or that and the trial's number."""
        return self.sweep.sweep_id + ("" if self.number is None else f"/{self.number}")

    def standing(self) -> Standing[TrialRecord] | None:
        """The trial that stands for it, with the means of its runs where it has several; None: none yet.

        Raises:
            UserError: The sweep has no trial of that number.
        """
        order = Finals(self.sweep.spec).ranked(self.trials, settled=self.sweep.state.terminal)
        if self.number is None:
            return order[0] if order else None
        for standing in order:
            if standing.number == self.number:
                return standing
        for trial in self.trials:
            if trial.number == self.number:
                return Standing(trial, trial.metrics)
        count = len(self.trials)
        hint = f"it has {count}, from 0 on" if count else "it has none yet"
        raise UserError(f"sweep {self.sweep.sweep_id} has no trial {self.number}", hint)


def comparison(entries: Sequence[Entry]) -> dict[str, Any]:
    """All that the entries have, side by side: each list of `values` has a value an entry, in their order.

    `differences` are to the first entry. `better` names the entries that are best, where a metric has a
    better side. Of specs those fields are told that differ.

    Raises:
        UserError: A sweep has no trial of the given number.
    """
    standings = [entry.standing() for entry in entries]
    measured = [dict(standing.metrics) if standing else {} for standing in standings]
    params = [dict(standing.trial.params) if standing else {} for standing in standings]
    specs = [dict(_fields(json.loads(spec_document(entry.sweep.spec)))) for entry in entries]
    goals = {o.metric: str(o.goal) for entry in reversed(entries) for o in entry.sweep.spec.objectives}
    return {
        "compared": [_entry(*each) for each in zip(entries, standings, strict=True)],
        "spec": [row for row in _rows(specs) if any(value != row["values"][0] for value in row["values"])],
        "metrics": [_with_differences(row, goals) for row in _rows(measured, first=goals)],
        "params": _rows(params),
    }


def _entry(entry: Entry, standing: Standing[TrialRecord] | None) -> dict[str, Any]:
    trial, result = (standing.trial, standing.result) if standing else (None, None)
    return {
        "name": entry.name,
        "sweep_id": entry.sweep.sweep_id,
        "sweep_name": entry.sweep.name,
        "state": str(entry.sweep.state),
        "objectives": [{"metric": o.metric, "goal": str(o.goal)} for o in entry.sweep.spec.objectives],
        "constraints": [constraint.metric for constraint in entry.sweep.spec.constraints],
        "trial": None
        if trial is None
        else {
            "number": trial.number,
            "state": str(trial.state),
            "measured_iteration": trial.measured_iteration,
            "runs": len(result.runs) if result else 1,
            "worker_s": round(trial.worker_s, 3),
        },
        "trials": len(entry.trials),
        "worker_s": round(entry.sweep.worker_s, 3),
        "compare_url": entry.compare_url,
        "nights": [dict(night) for night in entry.nights],
    }


def _fields(value: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    """The leaves of a document with their paths; a list is a leaf."""
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _fields(part, f"{path}.{name}" if path else name)
    else:
        yield path, value


def _rows(columns: Sequence[Mapping[str, Any]], first: Iterable[str] = ()) -> list[dict[str, Any]]:
    """A row a name that any has; those of `first` come first, and the others by name."""
    there = {name for column in columns for name in column}
    order = [*(name for name in first if name in there), *sorted(there.difference(first))]
    return [{"name": name, "values": [column.get(name) for column in columns]} for name in order]


def _with_differences(row: dict[str, Any], goals: Mapping[str, str]) -> dict[str, Any]:
    name, values = row["name"], row["values"]
    known = metric_named(name)
    goal = goals.get(name) or (known.goal if known else None)
    base = values[0]
    there = [value for value in values if value is not None]
    best = None if goal is None else (max if goal == "maximize" else min)(there)
    return {
        **row,
        "goal": goal,
        "differences": [None if value is None or base is None else value - base for value in values],
        "better": [place for place, value in enumerate(values) if value is not None and value == best],
    }


def comparison_table(document: Mapping[str, Any], width: int) -> Group:
    """The objectives, constraints and usual metrics, parameters, and what differs in the specs.

    A star marks the best of a metric, brackets hold the difference to the first. Nothing is cut: what has no
    room beside each other stands in tables one below the other, and what has none in its column is folded.
    """
    compared = document["compared"]
    lines: list[tuple[str, list[str]]] = [
        ("sweep", [each["sweep_name"] for each in compared]),
        ("state", [each["state"] for each in compared]),
        ("trial", [_trial(each["trial"]) for each in compared]),
        ("iterations", [_iterations(each["trial"]) for each in compared]),
    ]
    wanted = {o["metric"] for each in compared for o in each["objectives"]}
    wanted |= {name for each in compared for name in each["constraints"]} | set(_ALWAYS)
    lines += [(row["name"], _measured(row)) for row in document["metrics"] if row["name"] in wanted]
    for head in ("params", "spec"):
        if document[head]:
            lines.append(("", [""] * len(compared)))
            lines.append(("parameters" if head == "params" else "specs differ in", [""] * len(compared)))
            lines += [(f"  {row['name']}", [_shown(v) for v in row["values"]]) for row in document[head]]
    names = Column("", tuple(name for name, _ in lines), left=True)
    columns = [
        Column(each["name"], tuple(cells[place] for _, cells in lines), folds=True)
        for place, each in enumerate(compared)
    ]
    bands = _bands(names, columns, width)
    tables = [fitted_table([_names(names, width), *beside], width) for beside in bands]
    return Group(*[part for table in tables for part in (table, "")][:-1])


def _names(names: Column, width: int) -> Column:
    """The names of rows, folded where they would leave no room."""
    return replace(names, folds=natural_width([names]) + natural_width([_NARROW]) > width)


def _bands(names: Column, columns: Sequence[Column], width: int) -> Iterator[list[Column]]:
    """The columns in groups that have room beside the names: all of them, or as many as stay readable."""
    if fits([names, *columns], width):
        yield list(columns)
        return
    band: list[Column] = []
    for column in columns:
        narrow = [min(each, _NARROW, key=lambda one: natural_width([one])) for each in (*band, column)]
        if band and not fits([names, *narrow], width):
            yield band
            band = []
        band.append(column)
    yield band


def _iterations(trial: Mapping[str, Any] | None) -> str:
    return "-" if trial is None else str(trial["measured_iteration"])


def _trial(trial: Mapping[str, Any] | None) -> str:
    if trial is None:
        return "-"
    runs = f", {trial['runs']} runs" if trial["runs"] > 1 else ""
    return f"{label(trial['number'])} {trial['state']}{runs}"


def _measured(row: Mapping[str, Any]) -> list[str]:
    cells = []
    for place, (value, difference) in enumerate(zip(row["values"], row["differences"], strict=True)):
        if value is None:
            cells.append("-")
            continue
        star = "* " if place in row["better"] and len(set(row["values"])) > 1 else ""
        beside = f" ({difference:+.2f})" if place and difference is not None else ""
        cells.append(f"{star}{value:.2f}{beside}")
    return cells


def _shown(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.4g}"
        case str() | int():
            return str(value)  # whole: paths often differ in their last letters
        case _:
            text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 4] + " ..."
