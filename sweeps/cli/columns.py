"""Tables that fit the terminal: what has no room is left out and said to be; only what may be is folded."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        name: Its head; it may take a second line after its first dot or slash.
        cells: From top to bottom; one may have several lines.
        rank: 0 is always shown; of the others the lower are shown first.
        left: Whether it is words; numbers stand to the right.
        folds: Whether its cells may be folded where the columns of rank 0 have no room beside each other.
    """

    name: str
    cells: tuple[str, ...]
    rank: int = 0
    left: bool = False
    folds: bool = False


def fits(columns: Sequence[Column], width: int) -> bool:
    """Whether all of the columns have room beside each other."""
    return natural_width(columns) <= width


def natural_width(columns: Sequence[Column]) -> int:
    """Cells that the columns take, with nothing left out or folded."""
    return _width(columns, {column.name: (column.name,) for column in columns})


def fitted_table(columns: Sequence[Column], width: int, *, title: str | None = None, bold: int = -1) -> Table:
    """A table of those columns that fit.

    Args:
        columns: In the order in which they stand.
        width: Of the terminal, in cells.
        title: Stands above it.
        bold: The row to be printed bold.
    """
    heads: dict[str, tuple[str, ...]] = {column.name: (column.name,) for column in columns}
    shown = list(columns)
    if _width(shown, heads) > width:
        heads = {column.name: _stacked(column) for column in columns}
        shown = _fitting(columns, heads, width)
    table = Table(
        title=None if title is None else Text(title, style="table.title"),
        title_justify="left",
        caption=_left_out(columns, shown),
        caption_justify="left",
        box=None,
        padding=(0, _GAP, 0, 0),
    )
    tall = any(column.folds or any("\n" in cell for cell in column.cells) for column in shown)
    for column in shown:
        table.add_column(
            Text("\n".join(heads[column.name])),
            justify="left" if column.left else "right",
            no_wrap=not column.folds,
            overflow="fold",  # what is longer than its line goes on in the next one, whatever it is
            vertical="top" if tall else "bottom",  # one-line heads stand beside the second line of others
        )
    for place, row in enumerate(zip(*(column.cells for column in shown), strict=True)):
        table.add_row(*(Text(cell) for cell in row), style="bold" if place == bold else None)
    return table


def noted_rows(columns: Sequence[Column], notes: Sequence[str], width: int) -> Group:
    """Rows of those columns that fit, each with a note below it, which is wrapped.

    Args:
        columns: In the order in which they stand.
        notes: One a row.
        width: Of the terminal, in cells.
    """
    heads: dict[str, tuple[str, ...]] = {column.name: (column.name,) for column in columns}
    shown = _fitting(columns, heads, width)
    widths = [_width([column], heads) for column in shown]

    def line(cells: Sequence[str]) -> str:
        return "".join(cell + " " * (room - cell_len(cell)) for cell, room in zip(cells, widths, strict=True))

    rows = zip(zip(*(column.cells for column in shown), strict=True), notes, strict=True)
    told = [(Text(line(cells).rstrip()), Padding(Text(note), (0, 0, 0, 2 * _GAP))) for cells, note in rows]
    left_out = _left_out(columns, shown)
    return Group(
        Text(line([column.name for column in shown]).rstrip(), style="table.header"),
        *(part for row in told for part in row),
        *([] if left_out is None else [left_out]),
    )


def _fitting(columns: Sequence[Column], heads: dict[str, tuple[str, ...]], width: int) -> list[Column]:
    """The columns that are always shown, and of the others, by rank, each that still has room."""
    kept = [column for column in columns if column.rank == 0]
    for column in sorted(columns, key=lambda column: column.rank):
        if column.rank and _width([*kept, column], heads) <= width:
            kept.append(column)
    return [column for column in columns if column in kept]


def _width(columns: Sequence[Column], heads: dict[str, tuple[str, ...]]) -> int:
    columns_lines = (
        [*heads[column.name], *(line for cell in column.cells for line in cell.split("\n"))]
        for column in columns
    )
    return sum(max(map(cell_len, lines)) + _GAP for lines in columns_lines)


def _stacked(column: Column) -> tuple[str, ...]:
    """A head on two lines if it is long, and longer than what stands below it."""
    if all(cell_len(text) < cell_len(column.name) for text in (*column.cells, "0123456789")):
        for mark in "./":
            before, found, after = column.name.partition(mark)
            if found:
                return before + mark, after
    return (column.name,)


def _left_out(columns: Sequence[Column], shown: Sequence[Column]) -> Text | None:
    count = len(columns) - len(shown)
    if not count:
        return None
    return Text(f"{count} column{'s' if count > 1 else ''} left out; --json has all", style="dim")
