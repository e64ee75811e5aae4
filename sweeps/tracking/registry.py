"""Champions in MLflow's model registry: a version each, with its files, the reigning one under an alias.

Like the rest of the mirror it can end at any point and be made whole by the next sync: a version is found by
its tags before it is made, and the alias is compared with the store each time. So what was deleted or moved
by hand comes back, and so does what a slower mirror of another sweep has set in the meantime.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sweeps.store.champions import Champion, Champions
from sweeps.store.marks import Mark
from sweeps.tracking.champion_key import ChampionKey
from sweeps.tracking.client import Tracker
from sweeps.tracking.errors import MirrorUnavailable
from sweeps.tracking.names import model_name

ALIAS = "champion"

_LOOKS = 3
"""At an alias in one sync: where another store sets it back each time, the next sync goes on."""


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

        Gives the marks that change.

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
                    version = self._register(champion, runs[champion.number])
                item = f"champion/{schedule}/{champion.version}"  # attempts are `3/1`
                mark = Mark(version, documents="all", settled=True)
                if marks.get(item) != mark:
                    yield {item: mark}
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
        """Lets the alias name the store's reigning champion.

        MLflow sets an alias without asking what it was. So whoever has set it looks again: if a champion came
        in between, either its mirror sets the alias after this one did, or this one sees it here.
        A champion whose own sweep is not mirrored yet gets the alias from that mirror.
        """
        name = model_name(schedule)
        for _ in range(_LOOKS):
            reigning = self._champions.champion(schedule)
            if reigning is None:
                return
            version = self._versions(name).get(ChampionKey.of(reigning))
            self._step(f"look for the alias of {name}")
            if version is None or self._tracker.alias(name, ALIAS) == version:
                return
            self._step(f"set the alias of {name}")
            self._tracker.set_alias(name, ALIAS, version)

    def _versions(self, name: str) -> dict[ChampionKey, str]:
        self._step(f"look for versions of {name}")
        return self._tracker.model_versions(name)


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
