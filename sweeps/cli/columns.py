"""Tables that fit the terminal: what has no room is left out and said to be, and nothing is folded."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

_GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        name: Its head; it may take a second line after its first dot or slash.
        cells: From top to bottom.
        rank: 0 is always shown; of the others the lower are shown first.
        left: Whether it is words; numbers stand to the right.
    """

    name: str
    cells: tuple[str, ...]
    rank: int = 0
    left: bool = False


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
    for column in shown:
        table.add_column(
            Text("\n".join(heads[column.name])),
            justify="left" if column.left else "right",
            no_wrap=True,
            vertical="bottom",
        )
    for place, row in enumerate(zip(*(column.cells for column in shown), strict=True)):
        table.add_row(*(Text(cell) for cell in row), style="bold" if place == bold else None)
    return table


def _fitting(columns: Sequence[Column], heads: dict[str, tuple[str, ...]], width: int) -> list[Column]:
    """The columns that are always shown, and of the others, by rank, each that still has room."""
    kept = [column for column in columns if column.rank == 0]
    for column in sorted(columns, key=lambda column: column.rank):
        if column.rank and _width([*kept, column], heads) <= width:
            kept.append(column)
    return [column for column in columns if column in kept]


def _width(columns: Sequence[Column], heads: dict[str, tuple[str, ...]]) -> int:
    lines = ((*heads[column.name], *column.cells) for column in columns)
    return sum(max(cell_len(line) for line in column) + _GAP for column in lines)


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
