"""Keeps the files that a base's config leads to within the directories that a service allows."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from runners.regular_files import read_text, require_regular
from search_spaces.issues import SpecIssue
from sweeps.core.errors import SpecInvalid
from sweeps.core.spec import BaseSpec
from sweeps.core.weight_addresses import address_problem, is_address
from sweeps.roots import is_fetched, real_path, where_allowed

_URLS = ("https://", "http://")  # that fvcore fetches; all else it looks for beside the config
_HINT = "copy the file to where the data is"


def strays(base: BaseSpec, roots: Sequence[Path]) -> tuple[SpecIssue, ...]:
    """What of a base lies elsewhere: files that `_BASE_` names, and the weights that the config names.

    Asked before Detectron2 reads the file, which would fetch a `_BASE_` from a URL.

    Args:
        base: Its own paths are under the roots.
        roots: Absolute directories; none of them: everything is allowed.
    """
    if base.file is None or not roots:
        return ()
    issues = tuple(_stray_bases(base.file, roots, set()))
    if issues or base.weights != "file":
        return issues
    return tuple(_stray_weights(base, roots))


def _stray_bases(file: str, roots: Sequence[Path], seen: set[str]) -> Iterator[SpecIssue]:
    real = os.path.realpath(file)
    if real in seen:  # `require_regular_files` says that it goes round in a circle
        return
    seen.add(real)
    for named in _bases(file):
        if "://" in named:
            problem = f"_BASE_ of {file}: got {named}, but the service fetches no configs by URL"
            yield SpecIssue("base.file", problem, _HINT)
            continue
        path = _beside(file, named)
        if real_path(path, roots) is None:
            yield SpecIssue("base.file", f"_BASE_ of {file}: got {named}, but {where_allowed(roots)}", _HINT)
        else:
            yield from _stray_bases(path, roots, seen)


def require_regular_files(file: str) -> None:
    """Opens a config and all files that its `_BASE_` leads to; Detectron2 would wait at a named pipe.

    Raises:
        OSError: One of them is no regular file, or cannot be read.
        SpecInvalid: They go round in a circle, or a URL among them leads out of the directory that downloads
            are kept in.
    """
    seen: set[str] = set()
    waiting: list[tuple[str, tuple[str, ...]]] = [(file, ())]
    while waiting:
        path, within = waiting.pop()
        real = os.path.realpath(path)
        if real in within:  # Detectron2 would go round until the path is too long for the system
            raise SpecInvalid([SpecIssue("base.file", f"_BASE_ of {within[-1]} leads back to {real}")])
        if real in seen:
            continue
        seen.add(real)
        require_regular(path)
        for named in _bases(path):
            if not named.startswith(_URLS):
                waiting.append((_beside(path, named), (*within, real)))
            elif wrong := address_problem(named, _URLS):
                raise SpecInvalid([SpecIssue("base.file", f"_BASE_ of {path}: {wrong[0]}", wrong[1])])


def _beside(file: str, named: str) -> str:
    return os.path.join(os.path.dirname(file), os.path.expanduser(named))


def _bases(file: str) -> list[str]:
    """What a config names as `_BASE_`, as fvcore's `load_yaml_with_base` reads it; nothing if it cannot."""
    try:
        document: Any = yaml.safe_load(read_text(file))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return []  # whoever reads it for good says what is wrong
    named = document.get("_BASE_", []) if isinstance(document, dict) else []
    return [one for one in (named if isinstance(named, list) else [named]) if isinstance(one, str)]


def _stray_weights(base: BaseSpec, roots: Sequence[Path]) -> Iterator[SpecIssue]:
    from runners.detectron.config import base_config  # noqa: PLC0415 - imports Detectron2

    try:
        weights = base_config(base).MODEL.WEIGHTS
    except (SpecInvalid, OSError):
        return  # told where the base is checked
    if is_fetched(weights):
        problem = f"MODEL.WEIGHTS of {base.file}: got {weights}, but the service fetches no weights by URL"
        yield SpecIssue("base.weights", problem, _HINT)
    elif weights and not is_address(weights) and real_path(weights, roots) is None:
        problem = f"MODEL.WEIGHTS of {base.file}: got {weights}, but {where_allowed(roots)}"
        yield SpecIssue("base.weights", problem, _HINT)
