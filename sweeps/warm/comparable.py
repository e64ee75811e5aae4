"""Whether equal parameters would give two sweeps equal values, but for chance."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sweeps.core.size_bins import all_bins, bin_of_metric

if TYPE_CHECKING:
    from sweeps.core.spec import BaseSpec, SweepSpec

_OF_THE_MACHINE = ("latency/", "memory/")


@dataclass(frozen=True, slots=True)
class Setting:
    """What a sweep's values depend on besides parameters and seeds.

    Attributes:
        spec: Its spec.
        fingerprint: Of its data set.
        base: Of its base's config and weights by their contents; None if that was not recorded.
    """

    spec: SweepSpec
    fingerprint: str
    base: str | None


def judged_metrics(spec: SweepSpec) -> frozenset[str]:
    """The metrics that objectives and constraints name."""
    objectives = {objective.metric for objective in spec.objectives}
    return frozenset(objectives | {constraint.metric for constraint in spec.constraints})


def difference(new: Setting, old: Setting) -> str | None:
    """Why values of `old` are not those that `new` would measure, or None if they are.

    Only metrics that the new sweep's objectives and constraints name matter.
    """
    mine, theirs = new.spec, old.spec
    judged = judged_metrics(mine)
    of_the_machine = any(name.startswith(_OF_THE_MACHINE) for name in judged)
    equal = {
        "another function" if mine.base.synthetic else "another data set": old.fingerprint == new.fingerprint,
        "another base": _same_base(new, old),
        "another fidelity": theirs.fidelity == mine.fidelity,
        "other inference settings": theirs.inference == mine.inference,
        "other size bins": _bins(theirs, judged) == _bins(mine, judged),
        "other resources": not of_the_machine or _share(theirs) == _share(mine),
    }
    return next((difference for difference, same in equal.items() if not same), None)


def same_device(new: Setting, old: Setting) -> bool:
    """Whether what did not fit into memory there does not fit here."""
    return _share(new.spec) == _share(old.spec)


def _same_base(new: Setting, old: Setting) -> bool:
    if new.base is not None and old.base is not None:
        return new.base == old.base
    mine, theirs = new.spec.base, old.spec.base
    # without their contents only names can be compared, and a file may have changed under its name
    return mine == theirs and not _in_files(mine)


def _in_files(base: BaseSpec) -> bool:
    return base.file is not None or base.weights.startswith("/")


def _bins(spec: SweepSpec, judged: Collection[str]) -> dict[str, tuple[float, float] | None]:
    bins = all_bins(spec.metrics.size_bins)
    names = {name for metric in judged if (name := bin_of_metric(metric)) is not None}
    return {name: bins.get(name) for name in names}


def _share(spec: SweepSpec) -> tuple[float | None, float]:
    return spec.resources.gpus_per_trial, spec.resources.cpus_per_trial
