"""Reads a spec from YAML or plain data: fills in defaults, checks each section, gathers every problem."""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from search_spaces.aliases import knob_meant, place_of
from search_spaces.documents import read_yaml, size_issues
from search_spaces.issues import SpecIssue, did_you_mean, shown
from search_spaces.presets import DEFAULT_PRESET, Preset, load_preset, preset_names
from search_spaces.scalars import as_integer
from search_spaces.space import parse_space
from sweeps.core.errors import SpecInvalid
from sweeps.core.spec_checks import cross_issues, option_issues
from sweeps.core.spec_fields import PROBLEM
from sweeps.core.spec_model import SweepSpec, Tracking

_MISSING_HINTS = {
    "version": "write `version: 1`",
    "dataset": "write train and val, each with annotations and images",
    "base": f"write `base: {{preset: {preset_names()[-1]}}}`",
}


def read_spec(given: str | Mapping[str, Any], directory: Path) -> SweepSpec:
    """The spec in a YAML text or in plain data; see `parse_spec`."""
    if isinstance(given, str):
        raw, issues = read_yaml(given)
    else:
        raw, issues = given, size_issues(given)
        if issues:
            raise SpecInvalid(issues)
    if raw is None and not issues:
        issues = [SpecIssue("", "the spec is empty", "`masksweep dataset synth DIR` writes one that runs")]
    elif raw is not None and not isinstance(raw, Mapping):
        issues = [SpecIssue("", f"got {shown(raw)}, but a spec is a mapping of fields")]
    if not isinstance(raw, Mapping):
        raise SpecInvalid(issues)
    issues += [_unknown_section(str(name)) for name in raw if name not in SweepSpec.model_fields]
    good, problems = read_sections(raw, directory)
    issues += problems
    issues += option_issues(raw)
    issues += cross_issues(good, raw)
    if issues:
        raise SpecInvalid(issues)
    return SweepSpec.model_validate(good)


def read_sections(raw: Mapping[Any, Any], directory: Path) -> tuple[dict[str, Any], list[SpecIssue]]:
    """The sections that are sound in themselves, by name, and the problems of the others."""
    filled = _with_defaults(raw)
    context = {"directory": os.path.abspath(directory)}
    good: dict[str, Any] = {}
    issues: list[SpecIssue] = []
    for name, field in SweepSpec.model_fields.items():
        if name == "space" and name in raw:
            space, problems = parse_space(raw[name])
            issues += problems
            if space is not None:
                good[name] = space
        elif name in filled:
            try:
                good[name] = _adapter(name).validate_python(filled[name], context=context)
            except ValidationError as error:
                issues += [_issue(name, each) for each in error.errors(include_url=False) if _counts(each)]
        elif name == "tracking" and "name" in good:
            good[name] = Tracking(experiment=good["name"])
        elif name == "dataset" and not _is_synthetic(raw.get("base")):
            issues.append(SpecIssue(name, "missing", _MISSING_HINTS[name]))
        elif name != "tracking" and field.is_required():
            issues.append(SpecIssue(name, "missing", _MISSING_HINTS.get(name)))
    return good, issues


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    field = SweepSpec.model_fields[name]
    annotation: Any = field.annotation
    return TypeAdapter(Annotated[annotation, *field.metadata] if field.metadata else annotation)


def _with_defaults(raw: Mapping[Any, Any]) -> dict[str, Any]:
    """The raw spec with what depends on other fields filled in."""
    filled = dict(raw)
    base = raw.get("base")
    preset = _preset(base)
    if isinstance(base, Mapping) and "weights" not in base:
        weights = next((word for word in ("zoo", "file") if word in base), "none")
        if preset is not None and "preset" in base:
            weights = preset.default_weights
        filled["base"] = {**base, "weights": weights}
    source = preset or load_preset(DEFAULT_PRESET)
    filled.setdefault("space", source.space)
    filled.setdefault("objectives", [{"metric": "segm/AP", "goal": "maximize"}])
    filled["fidelity"] = _fidelity(raw.get("fidelity", {}), source)
    if raw.get("tracking") == {}:
        del filled["tracking"]
    return filled


def _is_synthetic(base: object) -> bool:
    """Whether a base as written does without data, sound or not."""
    return isinstance(base, Mapping) and "synthetic" in base


def _preset(base: object) -> Preset | None:
    name = base.get("preset") if isinstance(base, Mapping) else None
    return load_preset(name) if name in preset_names() else None


def _fidelity(raw: object, preset: Preset) -> object:
    if not isinstance(raw, Mapping):
        return raw
    if "iterations" not in raw and "rungs" not in raw:
        return {"iterations": preset.iterations, "rungs": preset.rungs, **raw}
    if "iterations" not in raw:
        rungs = raw["rungs"]
        last = as_integer(rungs[-1]) if isinstance(rungs, list) and rungs else None
        return {"iterations": last or preset.iterations, **raw}
    if "rungs" not in raw:
        full = as_integer(raw["iterations"])
        if full is None or full < 1:  # then the iterations are the only problem to report
            return {**raw, "rungs": preset.rungs}
        return {**raw, "rungs": sorted({max(1, full // 4), max(1, full // 2), full})}
    return raw


def _unknown_section(name: str) -> SpecIssue:
    hint = _knob_hint(name) or did_you_mean(name, SweepSpec.model_fields) or place_of(name)
    return SpecIssue(name, f"unknown field, allowed: {', '.join(SweepSpec.model_fields)}", hint)


def _knob_hint(name: str) -> str | None:
    knob = knob_meant(name)
    return f"{knob} is a knob: write it under space" if knob else None


def _counts(details: ErrorDetails) -> bool:
    """False for a list that pydantic finds too short only because its items have problems of their own."""
    return not (details["type"] == "too_short" and details["input"])


def _issue(section: str, details: ErrorDetails) -> SpecIssue:
    """A pydantic error in our words."""
    loc = (section, *details["loc"])
    raw = details["input"]
    hint: str | None = None
    match details["type"]:
        case kind if kind == PROBLEM:
            problem, hint = details["ctx"]["text"], details["ctx"]["hint"]
        case "missing":
            problem = "missing"
        case "extra_forbidden" | "invalid_key":
            loc = (*loc[:-1], str(loc[-1]))
            name, allowed = str(loc[-1]), _fields(loc[:-1])
            problem = f"unknown field, allowed: {', '.join(allowed)}"
            hint = did_you_mean(name, allowed) or _knob_hint(name) or place_of(name)
        case "model_type" | "model_attributes_type" | "dict_type":
            fields = ", ".join(_fields(loc))
            problem = f"got {shown(raw)}, but needs a mapping{fields and f' of {fields}'}"
            hint = "leave it out or fill it in" if raw is None else None
            if isinstance(raw, str) and fields.startswith("type,"):
                hint = f"write {{type: {raw}}}"
        case "tuple_type":
            problem = f"got {shown(raw)}, but needs a list"
            hint = "put it in [ ]" if isinstance(raw, Mapping | str | int) else None
        case "too_short":
            problem = "got an empty list, but needs at least one item"
        case _:
            problem = f"got {shown(raw)}: {details['msg']}"
    return SpecIssue(_path(loc), problem, hint)


def _path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for part in loc:
        if part == "[key]":  # pydantic's mark of a mapping's key, which stands before it
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path


def _fields(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """Names of the fields of the model at a place in a spec, or nothing if there is no model."""
    model: type[BaseModel] | None = SweepSpec
    for part in loc:
        if model is not None and isinstance(part, str):
            named = {field.alias or name: field for name, field in model.model_fields.items()}
            model = _model_in(named[part].annotation) if part in named else None
    return tuple(field.alias or name for name, field in model.model_fields.items()) if model else ()


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (tuple, Annotated, Union, UnionType):
        return next((found for arg in get_args(annotation) if (found := _model_in(arg))), None)
    return None
