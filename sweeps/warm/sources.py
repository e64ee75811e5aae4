"""Finds the sweeps that a spec's warm start names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from search_spaces.issues import SpecIssue
from sweeps.core.errors import UnknownSweep
from sweeps.core.replicates import searched
from sweeps.core.warm_start import SCHEDULE
from sweeps.warm.comparable import Setting
from sweeps.warm.takeover import Source

if TYPE_CHECKING:
    from sweeps.core.warm_start import WarmStart
    from sweeps.records import SweepRecord
    from sweeps.store.reader import StoreReader


def find_sources(
    store: StoreReader | None, start: WarmStart, *, adding: str | None = None
) -> tuple[list[SweepRecord], list[SpecIssue]]:
    """The sweeps, each once, and what is wrong with the names of others.

    Args:
        store: None where there is none yet.
        start: From a spec.
        adding: A schedule that is about to be added: it counts as one that had no night.
    """
    found: dict[str, SweepRecord] = {}
    issues = []
    for place, name in enumerate(start.sources):
        path = f"warm_start.from[{place}]"
        if name.startswith(SCHEDULE):
            schedule = name.removeprefix(SCHEDULE)
            nights = None if store is None else store.schedule_sweeps(schedule)
            if nights is None and schedule != adding:
                issues.append(SpecIssue(path, f"no schedule named {schedule}"))
            found.update({sweep.sweep_id: sweep for sweep in nights or () if sweep.sweep_id not in found})
        elif store is None:
            issues.append(SpecIssue(path, f"no sweep {name!r}", "there is no sweep yet"))
        else:
            try:
                sweep = store.sweep(name)
            except UnknownSweep as error:
                issues.append(SpecIssue(path, str(error), error.hint))
            else:
                found.setdefault(sweep.sweep_id, sweep)
    return list(found.values()), issues


def read_sources(store: StoreReader, sweeps: Sequence[SweepRecord]) -> list[Source]:
    """Their rows, without replicates: a finalist's parameters are taken once, as the search found them."""
    return [
        Source(
            sweep.sweep_id,
            Setting(sweep.spec, sweep.fingerprint, store.base_fingerprint(sweep.sweep_id)),
            searched(store.trials(sweep.sweep_id)),
            store.measurements(sweep.sweep_id),
        )
        for sweep in sweeps
    ]
