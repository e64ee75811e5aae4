"""Champions in MLflow's model registry: a version each, with its files, the newest under an alias.

Like the rest of the mirror it can end at any point and be made whole by the next sync: a version is found by
its tag before it is made, and the alias follows from the versions that there are.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sweeps.store.champions import Champion, Champions
from sweeps.store.marks import Mark
from sweeps.tracking.client import Tracker
from sweeps.tracking.errors import MirrorUnavailable
from sweeps.tracking.names import model_name
from sweeps.tracking.picture import SWEEP_TAG, TRIAL_TAG

ALIAS = "champion"


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
        """Registers a sweep's champions that no mark tells of, and gives a mark for each.

        Args:
            sweep_id: The sweep.
            marks: Of the sweep.
            runs: MLflow's run by trial.

        Raises:
            MirrorUnavailable: MLflow does not answer, or a champion's directory is not here.
        """
        for champion in self._champions.of_sweep(sweep_id):
            item = f"champion/{champion.schedule}/{champion.version}"  # attempts are `3/1`
            if item not in marks:
                version = self._register(champion, runs[champion.number])
                yield {item: Mark(version, documents="all", settled=True)}

    def _register(self, champion: Champion, run_id: str) -> str:
        name, version = model_name(champion.schedule), str(champion.version)
        self._step(f"look for versions of {name}")
        known = self._tracker.model_versions(name)
        if version not in known:
            place = f"champion/{champion.schedule}-v{version}"
            for path in _files(champion):
                self._step(f"store {path.name}")
                self._tracker.put_file(run_id, path, place)
            self._step(f"register {name} {version}")
            portrait = champion.portrait
            tags = {
                SWEEP_TAG: champion.sweep_id,
                TRIAL_TAG: str(champion.number),
                f"masksweep.{portrait.metric.replace('/', '.')}": f"{portrait.value:.6g}",
            }
            known[version] = self._tracker.register(name, run_id, place, champion.version, tags)
        newest = known[str(max(map(int, known)))]
        self._step(f"set the alias of {name}")
        self._tracker.set_alias(name, ALIAS, newest)
        return known[version]


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
