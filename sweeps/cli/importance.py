"""`masksweep importance`: which knobs mattered, for each objective."""

from collections.abc import Sequence

from rich.table import Table

from sweeps.cli.columns import Column, fitted_table
from sweeps.cli.output import data, print_json, words
from sweeps.importance import Importance, importance_document, importances_of
from sweeps.service import SweepService

_BAR = 20
_NOTE = "by chance: how often a knob gets as much when the values are dealt to the trials at random"


def show_importance(
    service: SweepService, sweep_id: str, iterations: int | None = None, *, as_json: bool
) -> None:
    """Prints what mattered in a sweep. Too few trials are told, and no error.

    Raises:
        UserError: `iterations` is no rung of the sweep.
    """
    sweep, found = importances_of(service, sweep_id, iterations)
    if as_json:
        print_json({"sweep_id": sweep.sweep_id, "objectives": importance_document(found)})
    else:
        print_importance(found, sweep.spec.fidelity.rungs[-1])


def print_importance(found: Sequence[Importance], iterations: int) -> None:
    """A table for each objective; `iterations` are those of a full trial."""
    for each in found:
        if each.problem:
            words.print(f"{each.metric}: {each.problem}", markup=False)
        else:
            data.print(importance_table(each, iterations, data.width))
    if any(each.knobs for each in found):
        words.print(_NOTE, markup=False)


def importance_table(found: Importance, iterations: int, width: int = 250) -> Table:
    """The knobs of one objective, most important first; `iterations` are those of a full trial."""
    best = f"the best {found.best} of {found.trials} trials"
    columns = [
        Column("knob", tuple(knob.name for knob in found.knobs), left=True),
        Column("", tuple("█" * round(_BAR * knob.importance) for knob in found.knobs), 3, left=True),
        Column("importance", tuple(f"{knob.importance:.0%}" for knob in found.knobs)),
        Column("by chance", tuple(f"{knob.by_chance:.0%}" for knob in found.knobs), 1),
        Column("trials with it", tuple(f"{knob.active:.0%}" for knob in found.knobs), 2),
    ]
    title = f"{found.metric}  what sets apart {best}, at {found.iteration} of {iterations} iterations"
    return fitted_table(columns, width, title=title)
