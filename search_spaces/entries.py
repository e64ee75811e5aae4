"""One entry of a space, `knob: {choices: ...}` or `knob: {low:, high:}`, turned into a parameter."""

import math
from collections.abc import Mapping, Sequence

from search_spaces.issues import SpecIssue, did_you_mean, listed, shown
from search_spaces.knob_types import Between, Knob, OneOf
from search_spaces.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Value,
    same_value,
)
from search_spaces.scalars import BadValueError, as_integer, as_number, as_truth, knob_value

MAX_STEPS = 1_000_000
"""From one end of a range to the other; beyond, doubles no longer tell whether a step fits."""

FIELDS = ("choices", "low", "high", "log", "step", "when")
_RANGE = ("low", "high", "log", "step")
_OTHER_TOOLS = {
    "min": "low",
    "max": "high",
    "lower": "low",
    "upper": "high",
    "values": "choices",
    "q": "step",
}


def parse_entry(entry: Knob, raw: object, path: str) -> tuple[Parameter | None, list[SpecIssue]]:
    """The parameter that an entry describes, without its conditions, or None with every problem found."""
    if not isinstance(raw, Mapping):
        return _constant(entry, raw, path)
    issues = [
        SpecIssue(f"{path}.{key}", f"unknown field, allowed: {listed(FIELDS)}", _field_hint(str(key)))
        for key in raw
        if key not in FIELDS
    ]
    ranged = [key for key in _RANGE if key in raw]
    if "choices" in raw and ranged:
        issues.append(
            SpecIssue(path, f"got choices and {listed(ranged)}, but takes either choices or a range")
        )
    elif "choices" in raw:
        choices, problems = _choices(entry, raw["choices"], f"{path}.choices")
        issues += problems
        if not issues:
            return CategoricalParameter(entry.name, choices), []
    elif "low" in raw or "high" in raw:
        if isinstance(entry.legal, OneOf):
            issues.append(
                SpecIssue(path, f"takes no range, but choices among {entry.legal}", "write {choices: [...]}")
            )
        else:
            parameter, problems = _range(entry, entry.legal, raw, path)
            issues += problems
            if not issues:
                return parameter, []
    elif not issues:
        issues.append(SpecIssue(path, "needs choices, or low and high", _example(entry)))
    return None, issues


def _field_hint(name: str) -> str | None:
    meant = _OTHER_TOOLS.get(name.lower())
    return f"did you mean {meant}?" if meant else did_you_mean(name, FIELDS)


def _example(entry: Knob) -> str:
    if isinstance(entry.legal, OneOf):
        return f"write {{choices: [{entry.legal}]}}"
    return "write {low: ..., high: ...}"


def _constant(entry: Knob, raw: object, path: str) -> tuple[Parameter | None, list[SpecIssue]]:
    if isinstance(raw, list):
        values = listed(raw) if all(not isinstance(value, list | dict) for value in raw) else "..."
        hint = f"write {{choices: [{values}]}}"
        return None, [SpecIssue(path, "got a list, but needs choices, or low and high", hint)]
    if raw is None:
        return None, [SpecIssue(path, "got null, but needs choices, or low and high", _example(entry))]
    try:
        return CategoricalParameter(entry.name, (knob_value(entry, raw),)), []
    except BadValueError as bad:
        return None, [SpecIssue(path, bad.problem, bad.hint)]


def parse_values(entry: Knob, raw: Sequence[object], path: str) -> tuple[tuple[Value, ...], list[SpecIssue]]:
    """The legal values of a list, and a problem for each that is not or that comes twice."""
    values: list[Value] = []
    places: list[int] = []
    issues: list[SpecIssue] = []
    for place, item in enumerate(raw):
        try:
            value = knob_value(entry, item)
        except BadValueError as bad:
            issues.append(SpecIssue(f"{path}[{place}]", bad.problem, bad.hint))
            continue
        twin = next((p for p, other in zip(places, values, strict=True) if same_value(other, value)), None)
        if twin is not None:
            issues.append(SpecIssue(f"{path}[{place}]", f"{shown(value)} is there already, as [{twin}]"))
        values.append(value)
        places.append(place)
    return tuple(values), issues


def _choices(entry: Knob, raw: object, path: str) -> tuple[tuple[Value, ...], list[SpecIssue]]:
    if not isinstance(raw, list) or not raw:
        return (), [SpecIssue(path, f"got {shown(raw)}, but needs a list of values ({entry.legal})")]
    return parse_values(entry, raw, path)


def _range(
    entry: Knob, legal: Between, raw: Mapping[object, object], path: str
) -> tuple[Parameter | None, list[SpecIssue]]:
    issues: list[SpecIssue] = []
    ends: dict[str, float] = {}
    for key, other in (("low", "high"), ("high", "low")):
        if key not in raw:
            issues.append(SpecIssue(f"{path}.{key}", f"missing, {other} needs it"))
            continue
        try:
            value = knob_value(entry, raw[key])
        except BadValueError as bad:
            issues.append(SpecIssue(f"{path}.{key}", bad.problem, bad.hint))
        else:
            ends[key] = float(value)
    log = as_truth(raw.get("log", False))
    if log is None:
        issues.append(SpecIssue(f"{path}.log", f"{shown(raw['log'])} is not one of true, false"))
    step, problems = _step(entry, legal, raw, path)
    issues += problems
    if len(ends) == 2:
        stepped = "step" in raw and not problems
        issues += _range_issues(
            path, ends["low"], ends["high"], step, log=bool(log), stepped=stepped, multiple=legal.multiple
        )
    if issues:
        return None, issues
    low, high = ends["low"], ends["high"]
    if entry.kind == "int":
        spacing = 1 if log else int(step or 1)
        return IntParameter(entry.name, int(low), int(high), bool(log), spacing), []
    return FloatParameter(entry.name, low, high, bool(log), step), []


def _step(
    entry: Knob, legal: Between, raw: Mapping[object, object], path: str
) -> tuple[float | None, list[SpecIssue]]:
    """The spacing; where a knob goes in multiples, that is its default."""
    if "step" not in raw:
        return (legal.multiple if legal.multiple > 1 else None), []
    step = as_integer(raw["step"]) if entry.kind == "int" else as_number(raw["step"])
    if step is None or step <= 0:
        noun = "whole number" if entry.kind == "int" else "number"
        return None, [SpecIssue(f"{path}.step", f"{shown(raw['step'])} is not a {noun} above 0")]
    if legal.multiple > 1 and step % legal.multiple:
        return None, [SpecIssue(f"{path}.step", f"{shown(step)} is not a multiple of {legal.multiple}")]
    return step, []


def _range_issues(
    path: str, low: float, high: float, step: float | None, *, log: bool, stepped: bool, multiple: int
) -> list[SpecIssue]:
    got = f"low={low:g}, high={high:g}"
    if low > high:
        return [SpecIssue(path, f"low <= high must hold, but got ({got})")]
    issues = []
    if log and low <= 0:
        issues.append(SpecIssue(path, f"low > 0 must hold with log, but got ({got})"))
    if log and multiple > 1:
        issues.append(SpecIssue(path, f"log does not go with multiples of {multiple}", "give choices"))
    elif log and stepped:
        issues.append(SpecIssue(path, "log and step do not go together", "leave one of them out"))
    elif step is not None and step * MAX_STEPS < high - low:
        problem = f"at most {MAX_STEPS} steps are allowed, but got ({got}, step={step:g})"
        issues.append(SpecIssue(path, problem, "without a step every value of the range is tried"))
    elif step is not None and not _divides(step, high - low):
        issues.append(SpecIssue(path, f"step must divide high - low, but got ({got}, step={step:g})"))
    return issues


def _divides(step: float, span: float) -> bool:
    return math.isclose(span / step, round(span / step), rel_tol=0, abs_tol=1e-8)
