"""Finds from the store's rows what people are to be told, and writes it down for each place."""

import logging
import math
from collections.abc import Callable, Sequence
from functools import partial

from sweeps.core.errors import StoreUnavailable
from sweeps.core.finals import Finals
from sweeps.core.notices import Notice
from sweeps.core.replicates import searched
from sweeps.notify import kinds
from sweeps.notify.places import Place
from sweeps.service import SweepService
from sweeps.store.happened import EndedNight, FailedSweep, Happened, NewChampion, happened
from sweeps.store.outbox import Outbox
from sweeps.store.outbox_upkeep import MOST_PRUNED, give_up_orphans, prune

NEW_PLACE_S = 3 * 3600.0
"""Seconds that a place which is new is told of in hindsight: not of an old store's whole history."""

LOOK_BACK_S = 3 * 24 * 3600.0
"""Seconds after which nobody is told any more, for services that were away."""

VERDICT_S = 300.0
"""Seconds that the verdict on a night has, whose sweep was paused, to be told with it."""

_OVERLAP_S = 900.0  # a row may be committed that much later than the time in it: drivers wait for a store
_THOROUGH_S = 3600.0  # between two looks at all that counts, whatever the clocks did
_SETTLED_S = 24 * 3600.0  # by when services that came back together have tried whatever they can send

_log = logging.getLogger(__name__)


class Finder:
    """Finds what happened since its last look.

    Args:
        service: On the store.
        outbox: Of the same store.
        places: Of this service's settings, one at least.
        link: A sweep's comparison in MLflow, or None.
    """

    def __init__(
        self,
        service: SweepService,
        outbox: Outbox,
        places: Sequence[Place],
        link: Callable[[str], str | None],
    ) -> None:
        self._service, self._outbox, self._places, self._link = service, outbox, places, link
        self._since: float | None = None  # when the place that goes back furthest begins
        self._looked_at = self._thorough_at = float("-inf")
        self._up_s = 0.0
        self._passed_over = set[str]()
        self._prunes = False  # whether there was more to delete than one look may

    def look(self, now: float) -> int:
        """Writes down what is new.

        Returns:
            Deliveries that were made.

        Raises:
            StoreUnavailable: The store does not answer; the next look finds the same.
        """
        if self._since is None:
            kinds_of = {place.place_id: place.kinds for place in self._places}
            self._since = self._outbox.know(kinds_of, now, back_s=NEW_PLACE_S)
        thorough = now - self._thorough_at >= _THOROUGH_S
        back_s = LOOK_BACK_S if thorough else min(LOOK_BACK_S, now - self._looked_at + _OVERLAP_S)
        since = max(now - back_s, self._since or now)
        found = happened(self._service.engine, since)
        self._outbox.add(self._new(found, now), now)
        # a notice is as old as what it tells, so that the same look back finds it
        made = sum(self._outbox.make_deliveries(place.place_id, now, back_s=back_s) for place in self._places)
        if math.isfinite(self._looked_at):  # a machine that slept, or whose clock was set, was not up
            self._up_s += min(max(now - self._looked_at, 0.0), _THOROUGH_S)
        self._looked_at = now
        if thorough or self._prunes:
            self._keep_up(found, now)
        if thorough:
            self._thorough_at = now
        return made

    def _keep_up(self, found: Happened, now: float) -> None:
        """Gives up what nobody sends, and deletes what is old: some of it at a time."""
        engine = self._service.engine
        if self._up_s >= _SETTLED_S:
            given_up = give_up_orphans(engine, [place.place_id for place in self._places], now)
            if given_up:
                _log.warning("%d deliveries are given up: no service has their place any more", given_up)
        late = {kinds.deadline_at_risk(sweep, now).subject for sweep in found.late}
        pruned = prune(engine, now, keep=late)
        self._prunes = pruned == MOST_PRUNED
        if pruned:
            _log.info("%d notifications of more than 90 days ago were deleted", pruned)

    def _new(self, found: Happened, now: float) -> list[Notice]:
        """What nobody was told of yet. What a notice says of a sweep is read for these alone."""
        closed = [night for night in found.nights if night.state == "CLOSED" and _is_settled(night, now)]
        not_held = [night for night in found.nights if night.state in ("SKIPPED", "MISSED")]
        # by subject, which does not depend on what is looked up
        builders: dict[str, Callable[[], Notice]] = {
            kinds.night_over(night, None).subject: partial(self._night_over, night) for night in closed
        }
        for champion in found.champions:
            subject = kinds.champion_changed(champion, None).subject
            builders[subject] = partial(self._champion_changed, champion)
        for failed in found.failed:
            builders[kinds.sweep_failed(failed, None).subject] = partial(self._sweep_failed, failed)
        for notice in (
            *kinds.nights_not_held(not_held),
            *(kinds.night_failed(night) for night in found.nights if night.state == "FAILED"),
            *(kinds.deadline_at_risk(sweep, now) for sweep in found.late),
        ):
            builders[notice.subject] = partial(_itself, notice)
        unknown = self._outbox.unknown(builders)
        made = (self._built(subject, build) for subject, build in builders.items() if subject in unknown)
        return [notice for notice in made if notice is not None]

    def _built(self, subject: str, build: Callable[[], Notice]) -> Notice | None:
        """None where what it tells of cannot be read now; the others are told of."""
        try:
            return build()
        except StoreUnavailable:
            raise
        except Exception:
            if subject not in self._passed_over:
                self._passed_over.add(subject)
                _log.exception("nobody is told of %s", subject)
            return None

    def _champion_changed(self, champion: NewChampion) -> Notice:
        return kinds.champion_changed(champion, self._link(champion.sweep_id))

    def _sweep_failed(self, sweep: FailedSweep) -> Notice:
        return kinds.sweep_failed(sweep, self._link(sweep.sweep_id))

    def _night_over(self, night: EndedNight) -> Notice:
        return kinds.night_over(night, None if night.sweep_id is None else self._in_short(night.sweep_id))

    def _in_short(self, sweep_id: str) -> kinds.SweepInShort:
        sweep, trials = self._service.sweep(sweep_id), self._service.trials(sweep_id)
        order = Finals(sweep.spec).ranked(trials, settled=sweep.state.terminal)
        metrics = [objective.metric for objective in sweep.spec.objectives]
        best = None
        if order:
            values = ", ".join(
                f"{name} {order[0].metrics[name]:.4g}" for name in metrics if name in order[0].metrics
            )
            best = f"trial {order[0].number}, {values}" if values else f"trial {order[0].number}"
        return kinds.SweepInShort(
            name=sweep.name,
            state=str(sweep.state),
            ended=sum(trial.state.terminal for trial in searched(trials)),
            total=sweep.budget.trials,
            gpu_hours=self._service.gpu_s(sweep_id, unnoted=0.0) / 3600.0,
            best=best,
            link=self._link(sweep_id),
        )


def _is_settled(night: EndedNight, now: float) -> bool:
    """Whether its verdict is there, or will not come, or was waited for."""
    return night.decision is not None or not night.goes_on or now - night.ended_at >= VERDICT_S


def _itself(notice: Notice) -> Notice:
    return notice
