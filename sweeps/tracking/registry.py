"""Champions in MLflow's model registry: a version each, with its files, the reigning one under an alias.

Like the rest of the mirror it can end at any point and be made whole by the next sync: a version is found by
its tags before it is made, and the alias is compared with the store each time. So what was deleted or moved
by hand comes back, and so does what a slower mirror of another sweep has set in the meantime. Of a champion
that was retired the alias is taken away, and a damaged one is no version until its files are whole again.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sweeps.champion_files import damage_of, is_here, is_used
from sweeps.store.champions import Champion, Champions
from sweeps.store.marks import Mark
from sweeps.tracking.champion_key import ChampionKey
from sweeps.tracking.client import Tracker
from sweeps.tracking.errors import MirrorUnavailable
from sweeps.tracking.names import model_name

ALIAS = "champion"

_LOOKS = 3
"""At an alias in one sync: where another store sets it back each time, the next sync goes on."""

_State = tuple[tuple[str, int, int], ...]
"""Name, size, and time of change in ns of each file."""

_damaged: dict[str, _State] = {}
"""Champions that this process found damaged, by directory. Each is told once, and read again when a file
has changed: a mirror syncs every few seconds, and a service makes one for each request."""

_log = logging.getLogger(__name__)


class Registry:
    """Registers champions.

    Args:
        champions: Of the store.
        tracker: MLflow.
        step: Called with a word before each thing that is sent.
    """

    def __init__(self, champions: Champions, tracker: Tracker, step: Callable[[str], None]) -> None:
        self._champions, self._tracker, self._step = champions, tracker, step

    def registered(
        self, sweep_id: str, marks: Mapping[str, Mark], runs: Mapping[int, str]
    ) -> Iterator[dict[str, Mark]]:
        """Registers a sweep's champions that MLflow does not have, and lets the alias name the reigning one.

        Gives the marks that change. Where the last champion was retired, the alias is taken from it, by the
        mirror of any sweep of its schedule: the next one that is promoted may be long in coming.

        Args:
            sweep_id: The sweep.
            marks: Of the sweep.
            runs: MLflow's run by trial.

        Raises:
            MirrorUnavailable: MLflow does not answer, or a champion's directory is not here.
        """
        by_schedule: dict[str, list[Champion]] = {}
        for champion in self._champions.of_sweep(sweep_id):
            by_schedule.setdefault(champion.schedule, []).append(champion)
        for schedule, champions in by_schedule.items():
            known = self._versions(model_name(schedule))
            for champion in champions:
                version = known.get(ChampionKey.of(champion))
                if version is None:
                    if not _is_fit(champion):
                        continue
                    version = self._register(champion, runs[champion.number])
                item = f"champion/{schedule}/{champion.version}"  # attempts are `3/1`
                mark = Mark(version, documents="all", settled=True)
                if marks.get(item) != mark:
                    yield {item: mark}
            self._let_reign(schedule)
        for schedule in self._champions.retired_beside(sweep_id):
            if schedule not in by_schedule:
                self._let_reign(schedule)

    def _register(self, champion: Champion, run_id: str) -> str:
        name, version = model_name(champion.schedule), champion.version
        place = f"champion/{champion.schedule}-v{version}"
        for path in _files(champion):
            self._step(f"store {path.name}")
            self._tracker.put_file(run_id, path, place)
        self._step(f"register {name} {version}")
        portrait = champion.portrait
        tags = {f"masksweep.{portrait.metric.replace('/', '.')}": f"{portrait.value:.6g}"}
        return self._tracker.register(name, run_id, place, ChampionKey.of(champion), tags)

    def _let_reign(self, schedule: str) -> None:
        """Lets the alias name the store's reigning champion, and none where the last one was retired.

        MLflow sets an alias without asking what it was. So whoever has set it looks again: if a champion came
        in between, either its mirror sets the alias after this one did, or this one sees it here.
        A champion whose own sweep is not mirrored yet gets the alias from that mirror. It is taken from
        champions of this store alone: another one that shares MLflow may have a schedule of the same name.
        """
        name = model_name(schedule)
        for _ in range(_LOOKS):
            reigning = self._champions.champion(schedule)
            known = self._versions(name)
            self._step(f"look for the alias of {name}")
            named = self._tracker.alias(name, ALIAS)
            if reigning is None:
                ours = {known.get(ChampionKey.of(each)) for each in self._champions.champions(schedule)}
                if named is None or named not in ours:
                    return
                self._step(f"delete the alias of {name}")
                self._tracker.delete_alias(name, ALIAS)
                continue
            version = known.get(ChampionKey.of(reigning))
            if version is None or named == version:
                return
            self._step(f"set the alias of {name}")
            self._tracker.set_alias(name, ALIAS, version)

    def _versions(self, name: str) -> dict[ChampionKey, str]:
        self._step(f"look for versions of {name}")
        return self._tracker.model_versions(name)


def _is_fit(champion: Champion) -> bool:
    """Whether a champion is to be registered: its files are what was promoted.

    Those that are not here are an error, which whoever reads them tells; of one that was retired nobody needs
    them any more.
    """
    if not is_here(champion):
        return champion.retired is None
    where, state = champion.directory, _state(champion)
    if _damaged.get(where) == state:
        return False
    if found := damage_of(champion, is_used):
        _damaged[where] = state
        name = f"champion v{champion.version} of {champion.schedule}"
        told = "%s is not registered in MLflow until it is what was promoted: %s, in %s"
        _log.warning(told, name, ", ".join(found), where)
        return False
    _damaged.pop(where, None)
    return True


def _state(champion: Champion) -> _State:
    """While it is the same, the files need not be read again.

    The time is that of the inode: a file that is put back may have the size and the date of the damaged one.
    """
    found = []
    for path in sorted(Path(champion.directory).iterdir()):
        try:
            status = path.lstat()
        except FileNotFoundError:  # somebody is putting files back
            continue
        found.append((path.name, status.st_size, status.st_ctime_ns))
    return tuple(found)


def _files(champion: Champion) -> list[Path]:
    """What is in a champion's directory, but for the runs that only a comparison needs."""
    directory = Path(champion.directory)
    try:
        found = sorted(path for path in directory.iterdir() if path.is_file())
    except OSError as error:
        raise MirrorUnavailable(
            f"champion v{champion.version} of {champion.schedule} cannot be registered: {error.strerror}:"
            f" {directory}",
            "mirror it where the home is: masksweep mirror " + champion.sweep_id,
        ) from None
    return [path for path in found if not path.name.startswith("run")]
