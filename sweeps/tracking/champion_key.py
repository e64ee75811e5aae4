"""Which champion a version of a registered model is, as its tags tell."""

from collections.abc import Mapping
from dataclasses import dataclass

from sweeps.store.champions import Champion
from sweeps.tracking.picture import SWEEP_TAG, TRIAL_TAG

CHAMPION_TAG = "masksweep.champion"
"""Of a registered model's version: which champion of its schedule it is, from 1."""


@dataclass(frozen=True, slots=True)
class ChampionKey:
    """A champion among all that one MLflow may show.

    Its version alone would not do: where two stores share an MLflow, or a store was begun anew in another
    database, there is a first champion of each.

    Attributes:
        champion: Its version in its store, from 1.
        sweep_id: The sweep that it came of; no two stores have the same.
        number: The trial that it was.
    """

    champion: int
    sweep_id: str
    number: int

    @classmethod
    def of(cls, champion: Champion) -> "ChampionKey":
        """A champion's key."""
        return cls(champion.version, champion.sweep_id, champion.number)

    @classmethod
    def in_tags(cls, tags: Mapping[str, str]) -> "ChampionKey | None":
        """The key in a version's tags; None if the mirror did not make it."""
        try:
            return cls(int(tags[CHAMPION_TAG]), tags[SWEEP_TAG], int(tags[TRIAL_TAG]))
        except (KeyError, ValueError):
            return None

    def tags(self) -> dict[str, str]:
        """The key as tags."""
        return {CHAMPION_TAG: str(self.champion), SWEEP_TAG: self.sweep_id, TRIAL_TAG: str(self.number)}
