"""Base models by name, each with its default space and the length of training that it needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from search_spaces.documents import read_yaml
from search_spaces.overrides import ConfigValue
from search_spaces.space import SearchSpace, parse_space


@dataclass(frozen=True, slots=True)
class Preset:
    """A base model.

    Attributes:
        name: As in `base: {preset: NAME}`.
        doc: What it is for.
        zoo: Config of Detectron2's model zoo that it starts from, or None for Detectron2's defaults.
        overrides: (Detectron2 key, value) pairs laid over that.
        default_weights: What it trains from unless a spec says otherwise.
        space: Searched unless a spec has a space.
        iterations: Training iterations of a trial unless a spec has a fidelity.
        rungs: Iterations at which it is then evaluated, ascending; the last one is `iterations`.
    """

    name: str
    doc: str
    zoo: str | None
    overrides: tuple[tuple[str, ConfigValue], ...]
    default_weights: Literal["zoo", "none"]
    space: SearchSpace
    iterations: int
    rungs: tuple[int, ...]


DEFAULT_PRESET = "mask_rcnn_R_50_FPN"
"""Lends its space and its fidelity to bases that are not presets."""


@cache
def preset_names() -> tuple[str, ...]:
    """All presets, by name."""
    files = resources.files(__package__).iterdir()
    return tuple(sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")))


@cache
def load_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        KeyError: There is none.
    """
    if name not in preset_names():
        raise KeyError(name)
    raw, issues = read_yaml((resources.files(__package__) / f"{name}.yaml").read_text(encoding="utf-8"))
    if not isinstance(raw, Mapping) or issues:
        raise ValueError(f"preset {name} is broken: {'; '.join(map(str, issues))}")
    space, issues = parse_space(raw["space"])
    if space is None:
        raise ValueError(f"preset {name} is broken: {'; '.join(map(str, issues))}")
    fidelity = raw["fidelity"]
    return Preset(
        name=name,
        doc=raw["doc"],
        zoo=raw["zoo"],
        overrides=tuple(raw["overrides"].items()),
        default_weights=raw["default_weights"],
        space=space,
        iterations=fidelity["iterations"],
        rungs=tuple(fidelity["rungs"]),
    )
