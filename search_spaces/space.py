"""A search space: parameters under unique names, with conditional branches."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from search_spaces.aliases import explain_name, knob_meant
from search_spaces.entries import FIELDS, parse_entry, parse_values
from search_spaces.issues import SpecIssue, listed, shown
from search_spaces.knobs import knob, knob_names, knob_rank
from search_spaces.needs import need_issues
from search_spaces.parameters import (
    CategoricalParameter,
    Conditions,
    FloatParameter,
    IntParameter,
    Parameter,
    Value,
    same_value,
)


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """What a sweep may vary.

    Attributes:
        parameters: Parents before the parameters that hang on them; otherwise in the order of the knob table,
            so that equal spaces are equal however they were written.
    """

    parameters: tuple[Parameter, ...]

    def is_active(self, parameter: Parameter, params: Mapping[str, Value]) -> bool:
        """Whether all of the parameter's conditions hold, given the values of its parents."""
        return all(
            parent in params and any(same_value(params[parent], value) for value in values)
            for parent, values in parameter.when.items()
        )

    def contains(self, params: Mapping[str, Value]) -> bool:
        """Whether `params` gives every active parameter a value of its range, and nothing else."""
        active = {entry.name: entry for entry in self.parameters if self.is_active(entry, params)}
        return active.keys() == params.keys() and all(active[name].contains(params[name]) for name in params)

    def digest(self) -> str:
        """SHA-256 in hex of the canonical form: equal spaces have equal digests."""
        text = json.dumps(space_document(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def space_document(space: SearchSpace) -> dict[str, dict[str, object]]:
    """The space as plain data in the form that `parse_space` reads."""
    document: dict[str, dict[str, object]] = {}
    for parameter in space.parameters:
        match parameter:
            case CategoricalParameter():
                entry: dict[str, object] = {"choices": list(parameter.choices)}
            case FloatParameter() | IntParameter():
                entry = {"low": parameter.low, "high": parameter.high}
                if parameter.log:
                    entry["log"] = True
                elif parameter.step is not None:
                    entry["step"] = parameter.step
        if parameter.when:
            entry["when"] = {parent: list(values) for parent, values in parameter.when.items()}
        document[parameter.name] = entry
    return document


def parse_space(raw: object, path: str = "space") -> tuple[SearchSpace | None, list[SpecIssue]]:
    """Reads the mapping under `space:`.

    Args:
        raw: Knob names to `{choices: [...]}`, to `{low:, high:, log:, step:}` or to a value, which stays
            constant; each mapping may hold `when: {knob: value or [values]}`.
        path: Where it stands in the spec, for the issues.

    Returns:
        The space, or None if there are issues; and every issue found.
    """
    if not isinstance(raw, Mapping) or not raw:
        got = "an empty mapping" if isinstance(raw, Mapping) else shown(raw)
        hint = "`masksweep knobs` lists the knobs; without `space:` the default space is searched"
        return None, [SpecIssue(path, f"got {got}, but needs a mapping of knobs to choices or ranges", hint)]
    issues: list[SpecIssue] = []
    parsed: dict[str, Parameter] = {}
    for name, entry in raw.items():
        if name not in knob_names():
            issues.append(_unknown(str(name), entry, path))
            continue
        parameter, problems = parse_entry(knob(name), entry, f"{path}.{name}")
        issues += problems
        if parameter is not None:
            parsed[name] = parameter
    for name in [name for name in raw if name in knob_names()]:
        conditions, problems = _conditions(name, raw, parsed, path)
        issues += problems
        if name in parsed:
            parsed[name] = replace(parsed[name], when=conditions)
    cycles = list(_cycles(parsed, path))
    unsure = {name for name in knob_names() if any(_is_about(issue, f"{path}.{name}") for issue in issues)}
    if any(name not in knob_names() for name in raw):  # any knob that is not there may have been meant
        unsure |= {name for name in knob_names() if name not in raw}
    unsure |= _hanging_on(unsure, raw)
    issues += cycles or need_issues({k: p for k, p in parsed.items() if k not in unsure}, path, unsure)
    return (None, issues) if issues else (SearchSpace(tuple(_ordered(parsed))), [])


def _hanging_on(parents: Collection[str], raw: Mapping[object, object]) -> set[str]:
    """The knobs of a space whose conditions, or those of what they hang on, name one of `parents`."""
    found: set[str] = set()
    while True:
        more = {
            name
            for name in knob_names()
            if name not in found
            and isinstance(entry := raw.get(name), Mapping)
            and isinstance(when := entry.get("when"), Mapping)
            and any(parent in parents or parent in found for parent in when)
        }
        if not more:
            return found
        found |= more


def _is_about(issue: SpecIssue, path: str) -> bool:
    return issue.path == path or issue.path.startswith((f"{path}.", f"{path}["))


def _unknown(name: str, entry: object, path: str) -> SpecIssue:
    inner = next(_nested_knobs(name, entry), None)
    hint = f"write names with their dots: {inner}" if inner else explain_name(name)
    return SpecIssue(f"{path}.{name}", "not a knob", hint)


def _nested_knobs(name: str, entry: object) -> Iterator[str]:
    """The knobs that are meant by mappings within mappings, as Detectron2's configs are written."""
    for key, value in entry.items() if isinstance(entry, Mapping) else ():
        inner = f"{name}.{key}"
        if key in FIELDS:
            continue
        meant = inner if inner in knob_names() else knob_meant(inner)
        yield from (meant,) if meant else _nested_knobs(inner, value)


def _conditions(
    name: str, raw: Mapping[object, object], parsed: Mapping[str, Parameter], path: str
) -> tuple[Conditions, list[SpecIssue]]:
    entry = raw[name]
    if not isinstance(entry, Mapping) or "when" not in entry:
        return {}, []
    when, path = entry["when"], f"{path}.{name}.when"
    if not isinstance(when, Mapping) or not when:
        return {}, [SpecIssue(path, f"got {shown(when)}, but needs a mapping of a knob to its values")]
    conditions: dict[str, tuple[Value, ...]] = {}
    issues: list[SpecIssue] = []
    for parent, values in when.items():
        at = f"{path}.{parent}"
        if parent not in knob_names():
            issues.append(SpecIssue(at, "not a knob", explain_name(str(parent))))
        elif parent not in raw:
            issues.append(SpecIssue(at, f"{parent} is not in the space", "add it to the space, with choices"))
        elif parent in parsed:  # else it has issues of its own
            found, problems = _parent_values(parsed[parent], values, at)
            issues += problems
            conditions[parent] = found
    # In the table's order, so that a space does not depend on how its conditions were written.
    return {parent: conditions[parent] for parent in sorted(conditions, key=knob_rank)}, issues


def _parent_values(parent: Parameter, raw: object, path: str) -> tuple[tuple[Value, ...], list[SpecIssue]]:
    if not isinstance(parent, CategoricalParameter):
        return (), [SpecIssue(path, f"{parent.name} is a range, but a condition needs a knob with choices")]
    if isinstance(raw, list) and not raw:
        return (), [SpecIssue(path, f"got an empty list, but needs values among {listed(parent.choices)}")]
    values, issues = parse_values(knob(parent.name), raw if isinstance(raw, list) else [raw], path)
    if not isinstance(raw, list):  # a single value stands at the path itself
        issues = [replace(issue, path=path) for issue in issues]
    for place, value in enumerate(() if issues else values):
        if not parent.contains(value):
            at = f"{path}[{place}]" if isinstance(raw, list) else path
            problem = f"{shown(value)} is not among the choices of {parent.name}: {listed(parent.choices)}"
            issues.append(SpecIssue(at, problem))
    return tuple(c for c in parent.choices if any(same_value(c, value) for value in values)), issues


def _cycles(parsed: Mapping[str, Parameter], path: str) -> Iterator[SpecIssue]:
    reported: set[str] = set()
    for start in parsed:
        cycle = _cycle_from(start, parsed)
        if cycle and not reported & set(cycle):
            reported |= set(cycle)
            circle = " -> ".join([*cycle, start])
            yield SpecIssue(f"{path}.{start}.when", f"conditions go in a circle: {circle}")


def _cycle_from(start: str, parsed: Mapping[str, Parameter]) -> list[str]:
    """A way from `start` through its parents back to it, or an empty list."""
    trails, seen = [[start]], {start}
    while trails:
        trail = trails.pop()
        for parent in parsed[trail[-1]].when:
            if parent == start:
                return trail
            if parent in parsed and parent not in seen:
                seen.add(parent)
                trails.append([*trail, parent])
    return []


def _ordered(parsed: Mapping[str, Parameter]) -> Sequence[Parameter]:
    """Parents first, then by place in the knob table."""
    ordered: dict[str, Parameter] = {}
    waiting = sorted(parsed, key=knob_rank)
    while waiting:
        ready = next(name for name in waiting if all(parent in ordered for parent in parsed[name].when))
        ordered[ready] = parsed[ready]
        waiting.remove(ready)
    return tuple(ordered.values())
