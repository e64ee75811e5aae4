"""Reads what docker/ holds, for its tests: Dockerfiles, the Compose file, and what packages bring along."""

import re
import shlex
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILES = {name: ROOT / "docker" / name / "Dockerfile" for name in ("service", "worker")}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One of a Dockerfile: its name, what follows it on the joined lines, and its stage, from 0."""

    name: str
    rest: str
    stage: int


@cache
def instructions(image: str) -> tuple[Instruction, ...]:
    """All instructions of an image's Dockerfile."""
    lines = [line for line in DOCKERFILES[image].read_text().splitlines() if not line.startswith("#")]
    found, stage = [], -1
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        name, _, rest = line.strip().partition(" ")
        if name:
            stage += name == "FROM"
            found.append(Instruction(name, " ".join(rest.split()), stage))
    return tuple(found)


def last(image: str, name: str) -> str:
    """What the last instruction of that name says, which has to be in the image's last stage."""
    found = [one for one in instructions(image) if one.name == name][-1]
    assert found.stage == instructions(image)[-1].stage
    return found.rest


def pip_commands(image: str) -> list[list[str]]:
    """The words of each `pip install` and `pip wheel`."""
    commands = []
    for one in instructions(image):
        if one.name == "RUN":
            for part in one.rest.split("&&"):
                words = [word for word in shlex.split(part) if not word.startswith("--mount")]
                if words[0] == "pip":
                    commands.append(words[1:])
    return commands


def closure(image: str) -> dict[str, str]:
    """Every package that an image's `pip install` lines bring in, with its version in this environment."""
    todo: list[Requirement] = []
    for words in pip_commands(image):
        if words[0] == "install":
            named = [word for word in words[1:] if word not in ("-c", "constraints.txt") and "/" not in word]
            todo += [Requirement(f"masksweep{word[1:]}" if word[0] == "." else word) for word in named]
    assert todo
    found: dict[str, str] = {}
    seen = set()
    while todo:
        wanted = todo.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        if key[0] == "masksweep":
            needs = project_requirements(wanted.extras)
        else:
            try:
                package = distribution(wanted.name)
            except PackageNotFoundError:  # for another platform's Python, or not installed by an older setup
                found[key[0]] = ""
                continue
            found[key[0]] = package.version
            needs = [Requirement(text) for text in package.requires or ()]
        extras = wanted.extras or {""}
        todo += [
            need
            for need in needs
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    return found


def project() -> dict[str, Any]:
    """The table `project` of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]  # type: ignore[no-any-return]


def project_requirements(extras: set[str]) -> list[Requirement]:
    """What masksweep itself requires, with extras."""
    table = project()
    lists = [table["dependencies"], *(table["optional-dependencies"][extra] for extra in extras)]
    return [Requirement(text) for texts in lists for text in texts]


@cache
def compose() -> dict[str, Any]:
    """The Compose file, with its anchors resolved."""
    return yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())  # type: ignore[no-any-return]


def services() -> dict[str, dict[str, Any]]:
    """The services of the Compose file by name."""
    return compose()["services"]  # type: ignore[no-any-return]
