"""Checks across a spec's fields."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from search_spaces.issues import SpecIssue, did_you_mean, shown
from search_spaces.presets import load_preset
from search_spaces.scalars import as_integer
from search_spaces.zoo import WITH_WEIGHTS
from sweeps.core.metrics import metric_named
from sweeps.core.pruner import PRUNER_OPTIONS, objective_issues, options_read, rung_issues
from sweeps.core.sampler import SAMPLER_OPTIONS, sampler_issues
from sweeps.core.size_bins import all_bins, bin_of_metric
from sweeps.core.spec_model import SYNTHETIC_DEFAULTS, BaseSpec, Budget, Constraint, Fidelity, Objective

_OPTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "sampler": SAMPLER_OPTIONS,
    "pruner": PRUNER_OPTIONS,
}

_COSTS: Mapping[str, str] = {"ms": "milliseconds", "MB": "megabytes", "million": "millions"}
"""Units of what inference costs, in words."""


def option_issues(raw: Mapping[Any, Any]) -> Iterator[SpecIssue]:
    """Options of a sampler or pruner that its type does not read."""
    for section, types in _OPTIONS.items():
        given = raw.get(section)
        if not isinstance(given, Mapping):
            continue
        kind = given.get("type", next(iter(types)))
        if not isinstance(kind, str) or kind not in types:
            continue
        for name in given:
            users = [other for other, options in types.items() if name in options]
            read = options_read(given, kind) if section == "pruner" else types[kind]
            if users and name not in read:
                problem = f"{kind} has no such option, it is for {', '.join(users)}"
                inner = next((user for user in users if user in ("median", "percentile")), None)
                hint = f"inner: {inner} reads it" if kind == "patient" and inner else None
                if section == "sampler":
                    hint = f"{kind} reads {', '.join((*read, 'seed'))}"
                yield SpecIssue(f"{section}.{name}", problem, hint)


def cross_issues(good: Mapping[str, Any], raw: Mapping[Any, Any]) -> Iterator[SpecIssue]:
    """Problems between fields, among the sections that are good in themselves."""
    if "base" in good:
        yield from _base(good["base"])
    if "objectives" in good:
        yield from _objectives(good["objectives"])
    yield from _constraints(good.get("constraints", ()))
    if "metrics" in good or "metrics" not in raw:
        yield from _size_bins(good)
    if "fidelity" in good and "fidelity" in raw:
        yield from _fidelity(good["fidelity"])
    elif "fidelity" in raw:
        yield from _ascending(_whole_rungs(raw["fidelity"]))
    if "sampler" in good:
        objectives = len(good["objectives"]) if "objectives" in good else None
        yield from sampler_issues(good["sampler"], objectives, good.get("space"))
    if "pruner" in good and "objectives" in good:
        yield from objective_issues(good["pruner"], [(o.metric, o.goal) for o in good["objectives"]])
    if "pruner" in good and "fidelity" in good:
        yield from rung_issues(good["pruner"], len(good["fidelity"].rungs))
    if "budget" in good:
        yield from _patience(good["budget"])
    if "budget" in good and "objectives" in good:
        yield from _target(good["budget"], good["objectives"])


def _base(base: BaseSpec) -> Iterator[SpecIssue]:
    if base.synthetic is not None:
        if base.weights != "none":
            problem = f"{base.synthetic} is no model, and takes no weights"
            yield SpecIssue("base.weights", problem, "leave it out")
        return
    for name in SYNTHETIC_DEFAULTS:
        if getattr(base, name) is not None:
            yield SpecIssue(f"base.{name}", "is an option of base.synthetic", "synthetic: curves reads it")
    if base.weights == "file" and base.file is None:
        which = f"the preset {base.preset}" if base.preset else "a config of the zoo"
        word = "zoo" if base.zoo in WITH_WEIGHTS else "none, a path or a URL"
        problem = f"file means the weights that base.file names, but the base is {which}"
        yield SpecIssue("base.weights", problem, f"write {word}")
    if base.weights != "zoo":
        return
    zoo = base.zoo or (load_preset(base.preset).zoo if base.preset else None)
    if zoo is None:
        which = f"the preset {base.preset}" if base.preset else "a file"
        words = "file, none, a path or a URL" if base.file else "none, a path or a URL"
        yield SpecIssue("base.weights", f"zoo has no weights for {which}", f"write {words}")
    elif zoo not in WITH_WEIGHTS:
        yield SpecIssue("base.weights", f"zoo has no weights for {zoo}", "write none, a path or a URL")


def _objectives(objectives: tuple[Objective, ...]) -> Iterator[SpecIssue]:
    first: dict[str, int] = {}
    for place, objective in enumerate(objectives):
        if objective.metric in first:
            problem = f"{objective.metric} is there already, as objectives[{first[objective.metric]}]"
            yield SpecIssue(f"objectives[{place}].metric", problem)
        first.setdefault(objective.metric, place)


def _constraints(constraints: tuple[Constraint, ...]) -> Iterator[SpecIssue]:
    first: dict[tuple[str, str], str] = {}
    for place, constraint in enumerate(constraints):
        path = f"constraints[{place}]"
        if constraint.min is None and constraint.max is None:
            yield SpecIssue(path, "needs max, min or both")
        elif constraint.min is not None and constraint.max is not None and constraint.min > constraint.max:
            got = f"min={constraint.min:g}, max={constraint.max:g}"
            yield SpecIssue(path, f"min <= max must hold, but got ({got})")
        for bound, value in (("min", constraint.min), ("max", constraint.max)):
            if value is None:
                continue
            yield from _unit(f"{path}.{bound}", constraint.metric, value)
            before = first.setdefault((constraint.metric, bound), f"constraints[{place}].{bound}")
            if before != f"{path}.{bound}":
                problem = f"{constraint.metric} has a {bound} already, as {before}"
                yield SpecIssue(f"{path}.{bound}", problem, "leave one of them out")


def _size_bins(good: Mapping[str, Any]) -> Iterator[SpecIssue]:
    """Metrics of size bins that are neither standard nor the spec's."""
    bins = all_bins(good["metrics"].size_bins if "metrics" in good else {})
    for section in ("objectives", "constraints"):
        for place, item in enumerate(good.get(section, ())):
            name = bin_of_metric(item.metric)
            if name is not None and name not in bins:
                problem = f"{item.metric}: {name} is no size bin, these are: {', '.join(bins)}"
                hint = did_you_mean(name, bins) or "metrics.size_bins makes more"
                yield SpecIssue(f"{section}[{place}].metric", problem, hint)


def _whole_rungs(fidelity: object) -> list[int]:
    """The rungs of a fidelity with problems elsewhere, or none if they have problems too."""
    rungs = fidelity.get("rungs") if isinstance(fidelity, Mapping) else None
    whole = [as_integer(rung) for rung in rungs] if isinstance(rungs, list) else []
    return [rung for rung in whole if rung is not None] if None not in whole else []


def _ascending(rungs: Sequence[int]) -> Iterator[SpecIssue]:
    for place, (before, rung) in enumerate(pairwise(rungs), 1):
        if before >= rung:
            problem = f"rungs must ascend, but {shown(rung)} comes after {shown(before)}"
            yield SpecIssue(f"fidelity.rungs[{place}]", problem)


def _fidelity(fidelity: Fidelity) -> Iterator[SpecIssue]:
    yield from _ascending(fidelity.rungs)
    rungs, last = fidelity.rungs, len(fidelity.rungs) - 1
    if rungs[last] != fidelity.iterations:
        problem = f"the last rung must be fidelity.iterations, {fidelity.iterations}, but is {rungs[last]}"
        yield SpecIssue(f"fidelity.rungs[{last}]", problem)


def _patience(budget: Budget) -> Iterator[SpecIssue]:
    got, trials = budget.no_improvement, budget.trials
    if got is not None and got >= trials:
        problem = f"no_improvement < trials must hold, but got (no_improvement={got}, trials={trials})"
        yield SpecIssue("budget.no_improvement", problem)


def _target(budget: Budget, objectives: tuple[Objective, ...]) -> Iterator[SpecIssue]:
    metrics = [objective.metric for objective in objectives]
    for metric, value in budget.target.items():
        if metric not in metrics:
            problem = f"{metric} is not an objective, these are: {', '.join(metrics)}"
            yield SpecIssue(f"budget.target.{metric}", problem)
        yield from _unit(f"budget.target.{metric}", metric, value)


def _unit(path: str, metric: str, value: float | None) -> Iterator[SpecIssue]:
    """AP counts in percent, costs above 0; who writes otherwise would get a bound that means nothing."""
    known = metric_named(metric)
    if value is not None and known is not None and known.unit in _COSTS and value <= 0:
        how = f"write {-value:g}" if value < 0 else f"it counts in {_COSTS[known.unit]}"
        yield SpecIssue(path, f"got {value:g}, but {metric} is above 0", how)
    if value is None or known is None or known.unit != "%" or value == 0 or 1 <= value <= 100:
        return
    hint = f"write {value * 100:g}" if 0 < value < 1 else None
    yield SpecIssue(path, f"got {value:g}, but {metric} counts from 0 to 100", hint)
