"""Keeps the paths of a spec within the directories that the operator allowed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.issues import SpecIssue
from sweeps.core.spec import WEIGHT_WORDS, SweepSpec
from sweeps.core.weight_addresses import is_address
from sweeps.roots import is_fetched, real_path, where_allowed

_ROOTS_HINT = "the operator of the service sets MASKSWEEP_DATA_ROOTS"


@dataclass(frozen=True, slots=True)
class DataRoots:
    """Directories that specs may name files of; none of them: only specs without files run.

    Attributes:
        paths: Absolute.
    """

    paths: tuple[Path, ...]

    @property
    def first(self) -> Path:
        """Where relative paths of a spec start."""
        return self.paths[0] if self.paths else Path("/")

    def real(self, path: str) -> str | None:
        """A path with its links followed, or None if it is not under a root then.

        It need not exist: what is missing is told apart from what is forbidden only under a root.
        """
        return real_path(path, self.paths)

    def confined(self, spec: SweepSpec) -> tuple[SweepSpec, list[SpecIssue]]:
        """The spec with its paths as they really are, so that a link changed later leads nowhere else.

        Returns:
            The spec, and an issue for each of its paths that is not under a root.
        """
        issues: list[SpecIssue] = []
        moved: dict[str, Any] = spec.model_dump(include={"dataset", "base"}, exclude_none=True)
        for place, path in _paths(spec):
            real = self.real(path)
            if real is None:
                issues.append(SpecIssue(place, f"got {path}, but {where_allowed(self.paths)}", _ROOTS_HINT))
                continue
            target: Any = moved
            *parents, last = place.split(".")
            for parent in parents:
                target = target[parent]
            target[last] = real
        if is_fetched(spec.base.weights):
            problem = f"got {spec.base.weights}, but the service fetches no weights by URL"
            issues.append(SpecIssue("base.weights", problem, "copy the file to where the data is"))
        if issues:
            return spec, issues
        update = {
            "base": type(spec.base).model_validate(moved["base"]),
            "dataset": None if spec.dataset is None else type(spec.dataset).model_validate(moved["dataset"]),
        }
        return spec.model_copy(update=update), []


def _paths(spec: SweepSpec) -> Iterator[tuple[str, str]]:
    """The paths that a spec names, with where it names them."""
    if spec.dataset is not None:
        for part in ("train", "val"):
            split = getattr(spec.dataset, part)
            yield f"dataset.{part}.annotations", split.annotations
            yield f"dataset.{part}.images", split.images
    if spec.base.file is not None:
        yield "base.file", spec.base.file
    if spec.base.weights not in WEIGHT_WORDS and not is_address(spec.base.weights):
        yield "base.weights", spec.base.weights
