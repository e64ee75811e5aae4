"""The parts of a spec with problems that are sound, so that its data's problems are told with its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from search_spaces.documents import read_yaml
from search_spaces.issues import SpecIssue
from search_spaces.presets import preset_names
from sweeps.core.spec_checks import cross_issues
from sweeps.core.spec_model import BaseSpec, Constraint, Dataset, Objective, Split, SweepSpec
from sweeps.core.spec_reader import read_sections

_Part = TypeVar("_Part", bound=BaseModel)

# They stand for what is not sound, at its place in the list; any data can measure them.
_OBJECTIVE = Objective(metric="segm/AP", goal="maximize")
_CONSTRAINT = Constraint(metric="segm/AP", min=0)


@dataclass(frozen=True, slots=True)
class Salvage:
    """A spec in which defaults stand for what is not sound.

    Attributes:
        spec: For a preflight, never to be run.
        hidden: Paths under which it shows no more than the defaults.
    """

    spec: SweepSpec
    hidden: tuple[str, ...]

    def shows(self, issue: SpecIssue) -> bool:
        """Whether the issue is one of what the user wrote."""
        return not issue.path.startswith(self.hidden)


def salvage(text: str, directory: Path) -> Salvage | None:
    """The sound parts of a YAML text with problems; None if neither half of its data set is described.

    Args:
        text: YAML.
        directory: Where relative paths start.
    """
    raw, _ = read_yaml(text)
    given = raw.get("dataset") if isinstance(raw, Mapping) else None
    if not isinstance(raw, Mapping) or not isinstance(given, Mapping):
        return None
    context = {"directory": str(directory.absolute())}
    halves = {name: _part(Split, given.get(name), context) for name in ("train", "val")}
    train, val = halves["train"] or halves["val"], halves["val"] or halves["train"]
    if train is None or val is None:
        return None
    hidden: tuple[str, ...] = ()
    if halves["train"] is None:
        hidden = ("dataset.train",)
    if halves["val"] is None:
        hidden = ("dataset.val", "objectives", "constraints")
    defaults, _ = read_sections({"version": 1, "name": "salvaged", "base": _DEFAULT_BASE}, directory)
    good, _ = read_sections(raw, directory)
    sections = {
        **defaults,
        **good,
        "dataset": Dataset(train=train, val=val),
        "base": _base(good, raw.get("base"), context),
        "objectives": _items(Objective, raw.get("objectives"), _OBJECTIVE) or (_OBJECTIVE,),
        "constraints": _items(Constraint, raw.get("constraints"), _CONSTRAINT),
    }
    return Salvage(SweepSpec.model_validate(sections), hidden)


_DEFAULT_BASE = {"preset": preset_names()[-1]}


def _part(model: type[_Part], raw: object, context: Mapping[str, Any] | None = None) -> _Part | None:
    try:
        return model.model_validate(raw, context=dict(context or {}))
    except ValidationError:
        return None


def _items(model: type[_Part], raw: object, instead: _Part) -> tuple[_Part, ...]:
    """The sound items of a list, each at its place."""
    return tuple(_part(model, item) or instead for item in raw) if isinstance(raw, list) else ()


def _base(good: Mapping[str, Any], raw: object, context: Mapping[str, Any]) -> BaseSpec:
    """The base if it is sound, or sound but for its weights, else a preset."""
    if "base" in good and not list(cross_issues({"base": good["base"]}, {})):
        base: BaseSpec = good["base"]
        return base
    bare = _part(BaseSpec, {**raw, "weights": "none"}, context) if isinstance(raw, Mapping) else None
    return bare or BaseSpec.model_validate({**_DEFAULT_BASE, "weights": "none"})
