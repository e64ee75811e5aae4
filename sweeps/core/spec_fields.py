"""Checks of a spec's values: what users write, brought to one form, with problems in plain words."""

import math
import os
import re
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import BeforeValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from search_spaces.issues import did_you_mean, shown
from search_spaces.scalars import as_integer, as_number, as_truth
from search_spaces.zoo import ZOO_CONFIGS
from sweeps.core.metrics import metric_named, nearest_metrics
from sweeps.core.size_bins import INTERVAL_ENDS, MAX_BIN_PX, STANDARD_BINS
from sweeps.core.weight_addresses import SPEC_SCHEMES, WEIGHT_WORDS, address_problem, scheme_of

MAX_TRIALS = 100_000
"""Of a sweep: a sampler replays all of them."""

MAX_AXIS = 50
"""Values of one inference setting in a grid."""

PROBLEM = "masksweep"
"""Type of the pydantic errors whose message is ours already; their context may hold a hint."""

LEAST_SHARE = 0.0001
"""The unit in which Ray counts CPUs and GPUs."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}")
_BIN_NAME = re.compile(r"[a-z][a-z0-9_]{0,29}")
_DURATION = re.compile(r"(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?")
_DEADLINE = re.compile(r"([01]\d|2[0-3]):([0-5]\d) +(\S+)")
_BOUND = re.compile(r"\s*(\S.*?)\s*(<=|>=|[<>≤≥]|==?)\s*(\S+)\s*")


def problem(text: str, hint: str | None = None) -> PydanticCustomError:
    """An error for a pydantic validator to raise, shown as it is."""
    return PydanticCustomError(PROBLEM, "{text}", {"text": text, "hint": hint})


def whole(low: int, high: int | None = None) -> BeforeValidator:
    """Whole numbers from `low` on, or up to `high`, both included; 300.0 and 3e2 are whole."""
    return BeforeValidator(whole_value(low, high))


def whole_value(low: int, high: int | None = None, other: str = "") -> Callable[[object], int]:
    """The check behind `whole`; `other` says what else is allowed."""
    allowed = f"of at least {low}" if high is None else f"from {low} to {high}"

    def check(raw: object) -> int:
        value = as_integer(raw)
        if value is None or value < low or (high is not None and value > high):
            raise problem(f"got {shown(raw)}, but needs a whole number {allowed}{other}")
        return value

    return check


def number(allowed: str = "", fits: Callable[[float], bool] = lambda value: True) -> BeforeValidator:
    """Finite numbers for which `fits` is true; `allowed` says which these are: ` above 0`."""

    def check(raw: object) -> float:
        value = as_number(raw)
        if value is None or not fits(value):
            raise problem(f"got {shown(raw)}, but needs a number{allowed}")
        return float(value)

    return BeforeValidator(check)


def bound_value(raw: object) -> object:
    """A constraint in words, `latency/ms_per_image <= 80`, as the mapping that it is short for."""
    if not isinstance(raw, str):
        return raw
    match = _BOUND.fullmatch(raw)
    example = '"latency/ms_per_image <= 80" or {metric: latency/ms_per_image, max: 80}'
    if match is None:
        raise problem(f"got {shown(raw)}, but needs a bound", f"such as {example}")
    metric, sign, limit = match.groups()
    if sign not in ("<=", ">="):
        raise problem(f"got {shown(raw)}, but needs <= or >=", f"bounds are included: {example}")
    return {"metric": metric, "max" if sign == "<=" else "min": limit}


def truth() -> BeforeValidator:
    """True or false, or the words of YAML for them."""

    def check(raw: object) -> bool:
        value = as_truth(raw)
        if value is None:
            raise problem(f"got {shown(raw)}, but needs true or false")
        return value

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
    if any("\ud800" <= letter <= "\udfff" for letter in raw):
        raise problem(f"got {shown(raw)}, but needs text without half characters (\\ud800 to \\udfff)")
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
    """The part of a device that a trial takes, LEAST_SHARE to 1, or 0 for none."""
    value = as_number(raw)
    if value is None or not (value == 0 or LEAST_SHARE <= value <= 1):
        hint = "a trial trains on one device" if value is not None and value > 1 else None
        raise problem(f"got {shown(raw)}, but needs 0 or a number from {LEAST_SHARE} to 1", hint)
    return float(value)


def threshold(raw: object) -> float:
    """A threshold in (0, 1)."""
    value = as_number(raw)
    if value is None or not 0 < value < 1:
        raise problem(f"got {shown(raw)}, but needs a number between 0 and 1, both excluded")
    return float(value)


def axis(check: Callable[[object], Any]) -> BeforeValidator:
    """One value that `check` takes, or a list of values that differ, to be checked one by one."""

    def listed(raw: object) -> list[object]:
        if not isinstance(raw, list):
            return [check(raw)]
        if not raw or len(raw) > MAX_AXIS:
            raise problem(f"got {len(raw)} values, but takes 1 to {MAX_AXIS}")
        doubles = [item for place, item in enumerate(raw) if item in raw[:place]]
        if doubles:
            raise problem(f"got {shown(doubles[0])} twice")
        return raw

    return BeforeValidator(listed)


def ascending(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The order in which a grid has its values, however they were written."""
    return tuple(sorted(values))


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


STALL_S, LEAST_STALL_S = 1800.0, 10.0
"""Seconds in which nothing moves in a worker: until it is taken for hung by default, and at least."""


def stall(raw: object) -> float:
    """Seconds in a duration of at least LEAST_STALL_S; infinity for `none`."""
    if raw == "none":
        return math.inf
    try:
        total_s = seconds(raw)
    except ValueError:
        total_s = 0.0
    if total_s < LEAST_STALL_S:
        hint = "say the unit: h, m or s" if as_number(raw) else None
        wanted = f"a duration of at least {duration(LEAST_STALL_S)} such as 30m, or none"
        raise problem(f"got {shown(raw)}, but needs {wanted}", hint)
    return total_s


def stall_text(total_s: float) -> str:
    """What `stall` reads."""
    return "none" if math.isinf(total_s) else duration(total_s)


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
    """The name of something that an evaluation measures, and that trials can be judged by."""
    text = text_value(raw)
    known = metric_named(text)
    if known is None:
        near = nearest_metrics(text)
        first = f"{', '.join(near[:-1])} or " if near[1:] else ""
        meant = f"did you mean {first}{near[-1]}? " if near else ""
        raise problem(f"{shown(text)} is not a metric", f"{meant}`masksweep metrics` lists all")
    if not known.judges:
        raise problem(f"{text} says something about the data: it is the same for every trial")
    return text


def bin_name(raw: object) -> str:
    """The name of a size bin of the spec's own."""
    text = text_value(raw)
    if text in STANDARD_BINS:
        low, high = STANDARD_BINS[text]
        raise problem(f"{text} is a standard bin, {low:g} to {high:g} px", "take another name")
    if not _BIN_NAME.fullmatch(text) or text.endswith(INTERVAL_ENDS):
        allowed = "up to 30 lower-case letters, digits and _, the first a letter, not ending in _low or _high"
        raise problem(f"got {shown(text)}, but needs {allowed}")
    count = f"count/gt_{text}"
    known = metric_named(count)
    if known is not None and not known.is_family:
        raise problem(f"{text} is no free name: {count} counts something else", "take another name")
    return text


def bin_bounds(raw: object) -> tuple[float, float]:
    """The bounds of a size bin in px."""
    numbers = [as_number(item) for item in raw] if isinstance(raw, list | tuple) else []
    if len(numbers) != 2 or None in numbers:
        got = f"[{', '.join(map(shown, raw))}]" if isinstance(raw, list) and len(raw) < 6 else shown(raw)
        raise problem(f"got {got}, but needs [low, high] in px, the square root of an object's area")
    low, high = float(numbers[0] or 0), float(numbers[1] or 0)
    if not 0 <= low < high:
        raise problem(f"0 <= low < high must hold, but got (low={low:g}, high={high:g})")
    if high > MAX_BIN_PX:
        raise problem(f"got [{low:g}, {shown(numbers[1])}], but needs sizes of up to {MAX_BIN_PX} px")
    return low, high


def path_value(raw: object, info: ValidationInfo) -> str:
    """An absolute path; a relative one starts at the context's `directory`."""
    text = text_value(raw)
    if scheme_of(text):
        raise problem(f"got {shown(text)}, but needs a path", "copy it here first: URLs are not read")
    if "\0" in text:
        raise problem(f"got {shown(text)}, but no path holds a zero byte")
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
    """`none`, `zoo`, `file`, a URL, or the absolute path of a checkpoint."""
    text = text_value(raw) if raw is not None else "null"
    if text in WEIGHT_WORDS:
        return text
    if text.lower() in (*WEIGHT_WORDS, "null", "false"):
        word = text.lower() if text.lower() in WEIGHT_WORDS else "none"
        raise problem(f"got {text}, but needs none, zoo, file, a path or a URL", f"write {word}")
    scheme = scheme_of(text)
    if scheme is None:
        return path_value(text, info)
    address = scheme.lower() + text.removeprefix(scheme)  # iopath takes HTTPS:// for a directory
    if wrong := address_problem(address, SPEC_SCHEMES):
        raise problem(*wrong)
    return address
