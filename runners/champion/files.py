"""The directory of a champion: a copy of its own, which no retention looks at.

    champion.json     what it is, and its runs
    spec.json         the sweep's spec
    config.yaml       its Detectron2 config
    settings.json     its inference settings: how to read it in use
    model.pth         its weights, without the optimizer
    run2-...          the same two files of its other runs, with which a later night compares

A synthetic base has neither config nor weights: its runs are their parameters and seeds.
"""

import fcntl
import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runners.checkpoints import SCRAP, CheckpointInvalid, unreadable, write_checkpoint
from search_spaces.parameters import Value
from sweeps.core.champion import Portrait, portrait_document

CHAMPION, SPEC, SETTINGS = "champion.json", "spec.json", "settings.json"
MODEL = ("model.pth", "config.yaml")
"""Files of a checkpoint that are kept, where there are such."""


@dataclass(frozen=True, slots=True)
class RunFiles:
    """One training of a model.

    Attributes:
        directory: Absolute.
        prefix: What its files' names begin with there; empty for the first.
        params: Training parameters by knob.
        seed: 0 to 2**31 - 1.
        iteration: Iterations trained.
    """

    directory: str
    prefix: str
    params: Mapping[str, Value]
    seed: int
    iteration: int

    def file(self, name: str) -> Path:
        """The path of one of `MODEL`."""
        return Path(self.directory) / f"{self.prefix}{name}"


@dataclass(frozen=True, slots=True)
class Entrant:
    """A model that is compared.

    Attributes:
        spec: Canonical JSON of its sweep's spec.
        runs: At least one; the first is the one that is used.
        categories: That it knows, by class; None: those of the data that it is compared on.
        category_ids: What its data set calls them, by class; None: that is not known.
    """

    spec: str
    runs: tuple[RunFiles, ...]
    categories: tuple[str, ...] | None = None
    category_ids: tuple[int, ...] | None = None


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Waits until nobody else changes a schedule's champions; ends with the process that holds it."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def keep(
    directory: Path,
    version: int,
    entrant: Entrant,
    portrait: Portrait,
    about: Mapping[str, Any],
    *,
    is_ours: Callable[[str], bool],
) -> Path:
    """Copies a model into a champion's directory, which appears all at once.

    What a driver left there that died before its store knew of it is replaced. What is there of another
    store, as before a move to another database, is put aside. The directory is `held`.

    Args:
        directory: Of the schedule's champions.
        version: The new champion's.
        entrant: The model.
        portrait: What it is.
        about: What else `champion.json` tells.
        is_ours: Whether the store knows the sweep of that id.

    Raises:
        DiskFull: There is no room for it.
        OSError: It cannot be copied.
    """
    for scrap in directory.glob(f"{SCRAP}*"):
        shutil.rmtree(scrap, ignore_errors=True)
    name = f"v{version}"
    _clear(directory / name, is_ours)

    def write(place: Path) -> None:
        runs: list[dict[str, Any]] = []
        for count, run in enumerate(entrant.runs, 1):
            prefix = f"run{count}-" if count > 1 else ""
            for file in MODEL:
                if run.file(file).exists():
                    shutil.copyfile(run.file(file), place / f"{prefix}{file}")
            told = asdict(run) | {"prefix": prefix}
            runs.append({key: value for key, value in told.items() if key != "directory"})
        document = {**about, **portrait_document(portrait), "version": version, "runs": runs}
        _put(place / CHAMPION, document)
        (place / SPEC).write_text(entrant.spec, encoding="utf-8")
        if portrait.settings is not None:
            _put(place / SETTINGS, asdict(portrait.settings))

    return write_checkpoint(directory, name, write)


def _clear(path: Path, is_ours: Callable[[str], bool]) -> None:
    """Makes room where a champion is to be: only what this store's own driver left is deleted."""
    if not path.is_dir():
        return
    try:
        left = json.loads((path / CHAMPION).read_text(encoding="utf-8"))
        ours = is_ours(str(left["sweep_id"]))
    except (OSError, ValueError, TypeError, KeyError):
        ours = False
    if ours:
        shutil.rmtree(path)
        return
    aside = (path.with_name(f"{path.name}-other{n}") for n in itertools.count(1))
    path.rename(next(each for each in aside if not each.exists()))


def drop(path: Path) -> None:
    """Deletes a champion's directory that did not become one."""
    shutil.rmtree(path, ignore_errors=True)


def read(path: Path) -> Entrant:
    """The model in a champion's directory.

    Raises:
        CheckpointInvalid: It cannot be read.
    """
    try:
        document = json.loads((path / CHAMPION).read_text(encoding="utf-8"))
        runs = tuple(RunFiles(directory=str(path), **run) for run in document["runs"])
        spec = (path / SPEC).read_text(encoding="utf-8")
        ids = document.get("category_ids")  # not in champions of before it was kept
        return Entrant(
            spec, runs, tuple(document["categories"]), None if ids is None else tuple(map(int, ids))
        )
    except CheckpointInvalid:
        raise
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise unreadable(path, error) from error


def missing(entrant: Entrant, names: Sequence[str] = MODEL) -> list[str]:
    """Files of a trained model that are not there."""
    return [str(run.file(name)) for run in entrant.runs for name in names if not run.file(name).is_file()]


def _put(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
