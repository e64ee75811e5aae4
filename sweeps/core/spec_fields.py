"""Checks of a spec's values: what users write, brought to one form, with problems in plain words."""

import os
import re
from collections.abc import Callable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import BeforeValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from search_spaces.issues import did_you_mean, shown
from search_spaces.scalars import as_integer, as_number
from search_spaces.zoo import ZOO_CONFIGS
from sweeps.core.metrics import metric_named, metric_names

PROBLEM = "masksweep"
"""Type of the pydantic errors whose message is ours already; their context may hold a hint."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}")
_DURATION = re.compile(r"(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?")
_DEADLINE = re.compile(r"([01]\d|2[0-3]):([0-5]\d) +(\S+)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_WEIGHT_SCHEMES = ("http://", "https://", "detectron2://")


def problem(text: str, hint: str | None = None) -> PydanticCustomError:
    """An error for a pydantic validator to raise, shown as it is."""
    return PydanticCustomError(PROBLEM, "{text}", {"text": text, "hint": hint})


def whole(low: int, high: int | None = None) -> BeforeValidator:
    """Whole numbers from `low` on, or up to `high`, both included; 300.0 and 3e2 are whole."""
    allowed = f"of at least {low}" if high is None else f"from {low} to {high}"

    def check(raw: object) -> int:
        value = as_integer(raw)
        if value is None or value < low or (high is not None and value > high):
            raise problem(f"got {shown(raw)}, but needs a whole number {allowed}")
        return value

    return BeforeValidator(check)


def number(allowed: str = "", fits: Callable[[float], bool] = lambda value: True) -> BeforeValidator:
    """Finite numbers for which `fits` is true; `allowed` says which these are: ` above 0`."""

    def check(raw: object) -> float:
        value = as_number(raw)
        if value is None or not fits(value):
            raise problem(f"got {shown(raw)}, but needs a number{allowed}")
        return float(value)

    return BeforeValidator(check)


def one_of(*values: str) -> BeforeValidator:
    """One of a few words."""

    def check(raw: object) -> str:
        if isinstance(raw, str) and raw in values:
            return raw
        near = did_you_mean(raw, values) if isinstance(raw, str) else None
        hint = "write none" if raw is None and "none" in values else near
        raise problem(f"{shown(raw)} is not one of {', '.join(values)}", hint)

    return BeforeValidator(check)


def text_value(raw: object) -> str:
    """Text that is not blank."""
    if not isinstance(raw, str):
        hint = "put it in quotes" if isinstance(raw, bool | int | float) else None
        raise problem(f"got {shown(raw)}, but needs text", hint)
    if not raw.strip():
        raise problem("got an empty text")
    return raw


def name_value(raw: object) -> str:
    """A name fit for an id, a directory and a heading."""
    text = text_value(raw)
    if not _NAME.fullmatch(text):
        allowed = "up to 100 letters, digits, spaces and . _ -, the first a letter or digit"
        raise problem(f"got {shown(text)}, but needs {allowed}")
    return text


def version_value(raw: object) -> int:
    """The only version there is."""
    if as_integer(raw) != 1:
        raise problem(f"got {shown(raw)}, but this masksweep reads version 1")
    return 1


def device_share(raw: object) -> float:
    """The part of a device that a trial takes, 0 to 1."""
    value = as_number(raw)
    if value is None or not 0 <= value <= 1:
        hint = "a trial trains on one device" if value is not None and value > 1 else None
        raise problem(f"got {shown(raw)}, but needs a number from 0 to 1", hint)
    return float(value)


def threshold(raw: object) -> float:
    """A threshold in (0, 1), alone or as the only item of a list."""
    if isinstance(raw, list) and len(raw) > 1:
        raise problem(f"got {len(raw)} values, but takes one value for now")
    single = raw[0] if isinstance(raw, list) and raw else raw
    value = as_number(single)
    if value is None or not 0 < value < 1:
        raise problem(f"got {shown(single)}, but needs a number between 0 and 1, both excluded")
    return float(value)


def seconds(raw: object) -> float:
    """Seconds in a duration such as `2h`, `90m` or `1h30m`; the units are d, h, m and s, largest first."""
    match = _DURATION.fullmatch(raw.replace(" ", "")) if isinstance(raw, str) else None
    parts = [int(part or 0) for part in match.groups()] if match else []
    total = sum(part * unit for part, unit in zip(parts, (86400, 3600, 60, 1), strict=False))
    if total <= 0:
        hint = "say the unit: h, m or s" if as_number(raw) else None
        raise problem(f"got {shown(raw)}, but needs a duration such as 2h, 90m or 1h30m", hint)
    return float(total)


def duration(total_s: float) -> str:
    """The duration in words that `seconds` reads: `1h30m`."""
    rest, text = int(total_s), ""
    for unit, letter in ((3600, "h"), (60, "m"), (1, "s")):
        count, rest = divmod(rest, unit)
        text += f"{count}{letter}" if count else ""
    return text


def deadline_value(raw: object) -> str:
    """A time of day in a time zone of the IANA database: `07:00 Europe/Berlin`."""
    match = _DEADLINE.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if match is None:
        raise problem(f'got {shown(raw)}, but needs "HH:MM Zone/City" such as "07:00 Europe/Berlin"')
    try:
        ZoneInfo(match[3])
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise problem(
            f"{match[3]} is not a time zone", did_you_mean(match[3], available_timezones())
        ) from None
    return f"{match[1]}:{match[2]} {match[3]}"


def metric_value(raw: object) -> str:
    """The name of something that an evaluation measures."""
    text = text_value(raw)
    if metric_named(text) is None:
        names = metric_names()
        words = {name.rsplit("/", 1)[-1]: name for name in reversed(names)}  # a bare AP means segm/AP
        near = f"did you mean {words[text]}?" if text in words else did_you_mean(text, names)
        raise problem(f"{shown(text)} is no metric", near or "docs/metrics.md lists what is measured")
    return text


def path_value(raw: object, info: ValidationInfo) -> str:
    """An absolute path; a relative one starts at the context's `directory`."""
    text = text_value(raw)
    if _SCHEME.match(text):
        raise problem(f"got {shown(text)}, but needs a path", "copy it here first: URLs are not read")
    directory = (info.context or {}).get("directory", "")
    return os.path.normpath(os.path.join(directory, os.path.expanduser(text)))


def zoo_value(raw: object) -> str:
    """A config of Detectron2's model zoo that trains masks."""
    text = text_value(raw)
    if text not in ZOO_CONFIGS:
        allowed = "an instance segmentation config of Detectron2's model zoo, Folder/name.yaml"
        raise problem(f"{shown(text)} is not {allowed}", did_you_mean(text, ZOO_CONFIGS))
    return text


def config_file(raw: object, info: ValidationInfo) -> str:
    """The absolute path of a Detectron2 YAML config."""
    path = path_value(raw, info)
    if not path.endswith((".yaml", ".yml")):
        hint = "Python configs are not read, as reading runs them" if path.endswith(".py") else None
        raise problem(f"got {shown(raw)}, but needs a .yaml file", hint)
    return path


def weights_value(raw: object, info: ValidationInfo) -> str:
    """`none`, `zoo`, a URL, or the absolute path of a checkpoint."""
    text = text_value(raw) if raw is not None else "null"
    if text in ("none", "zoo"):
        return text
    if text.lower() in ("none", "zoo", "null", "false"):
        word = "zoo" if text.lower() == "zoo" else "none"
        raise problem(f"got {text}, but needs none, zoo, a path or a URL", f"write {word}")
    scheme = _SCHEME.match(text)
    if scheme is None:
        return path_value(text, info)
    if scheme[0].lower() not in _WEIGHT_SCHEMES:
        raise problem(f"{scheme[0]} is not one of {', '.join(_WEIGHT_SCHEMES)}")
    return text
