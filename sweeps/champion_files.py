"""A champion's files on this machine: whether they are what was promoted, and a copy of what is used."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from sweeps.contents import CONTENTS, damages, read_contents
from sweeps.core.errors import UserError
from sweeps.store.champions import Champion

_OTHER_RUN = re.compile(r"run\d+-.*")


RESTORING = "put the files back: docs/champions.md, When a champion is damaged or gone"
"""What to do for a champion that is damaged or gone."""


class ChampionDamaged(UserError):
    """A champion's files are not those that were promoted."""


def is_used(name: str) -> bool:
    """Whether a file is of the model that is used, and not of another run, with which nights are compared."""
    return not _OTHER_RUN.fullmatch(name)


def is_here(champion: Champion) -> bool:
    """Whether a champion's files are on this machine."""
    return Path(champion.directory).is_dir()


def damage_of(champion: Champion, counts: Callable[[str], bool] = lambda _: True) -> tuple[str, ...]:
    """What of a champion that is here is not as it was promoted, a file each; reads all that counts.

    Args:
        champion: Of the store.
        counts: Whether a file of that name matters.
    """
    return _damage(Path(champion.directory), Path(champion.directory), counts)


def require_whole(champion: Champion) -> None:
    """Looks at the files that are used.

    Raises:
        ChampionDamaged: With each that is not as it was.
    """
    if found := damage_of(champion, is_used):
        raise _damaged(champion, found)


def copy_used(champion: Champion, directory: Path) -> None:
    """Copies a champion's files that are used; the copy is checked and appears all at once, or not at all.

    Args:
        champion: Whose files are here.
        directory: That is not there yet.

    Raises:
        ChampionDamaged: A file is not as it was promoted.
        OSError: It cannot be copied.
    """
    require_whole(champion)
    source = Path(champion.directory)
    beside = directory.with_name(f".{directory.name}.tmp-{os.getpid()}")
    try:
        shutil.copytree(source, beside, ignore=lambda _, names: [n for n in names if not _is_copied(n)])
        # The copy itself, since the disk, or who writes to the champion, may have changed it in between.
        if found := _damage(beside, source, is_used):
            raise _damaged(champion, found)
        beside.rename(directory)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _is_copied(name: str) -> bool:
    return is_used(name) and name != CONTENTS


def _damage(directory: Path, source: Path, counts: Callable[[str], bool]) -> tuple[str, ...]:
    """What of the files in a directory is not as the champion's contents have it."""
    try:
        contents = read_contents(source)
        return tuple(damages(directory, contents, counts=counts))
    except FileNotFoundError:
        return (f"{CONTENTS} is gone, which tells what the files were",)
    except OSError as error:
        return (f"{Path(error.filename or CONTENTS).name} cannot be read: {error.strerror or error}",)
    except ValueError:
        return (f"{CONTENTS} is damaged, which tells what the files were",)


def _damaged(champion: Champion, found: tuple[str, ...]) -> ChampionDamaged:
    return ChampionDamaged(
        f"champion v{champion.version} of {champion.schedule} is not what was promoted: {', '.join(found)},"
        f" in {champion.directory}",
        RESTORING,
    )
