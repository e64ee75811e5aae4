"""What each submitted sweep takes of the pool, and whose turn it is."""

from collections.abc import Callable, Collection, Mapping, Sequence

from sweeps.core.sharing import Arrangement, Candidate, arrange, level, rejoin
from sweeps.core.spec import Resources
from sweeps.core.supervision import UNDER_WAY, LaunchState, Rules, View, ready
from sweeps.store.launches import LaunchBook
from sweeps.store.watched import Watched


class Pool:
    """Shares a pool among sweeps.

    Args:
        gpus: Devices of the pool; None: nobody knows, so that one sweep at a time has it all.
        quantum_s: Seconds of the whole pool that a sweep of weight 1 may be ahead before another gets its
            place; of one GPU where nobody knows the pool.
        resources: Of a sweep.
        book: Takes from where on each sweep's use counts.
    """

    def __init__(
        self,
        gpus: float | None,
        quantum_s: float,
        resources: Callable[[str], Resources],
        book: LaunchBook,
    ) -> None:
        self._gpus, self._quantum_s, self._resources, self._book = gpus, quantum_s, resources, book

    def arrange(
        self, watched: Sequence[Watched], views: Mapping[str, View], now: float, rules: Rules
    ) -> Arrangement:
        """Who shall run, of those that do and those that could."""
        there = [one for one in watched if _takes_part(views[one.launch.sweep_id], now, rules)]
        virtual = self._virtual(there, watched)
        candidates = [
            self._candidate(one, views[one.launch.sweep_id], virtual[one.launch.sweep_id]) for one in there
        ]
        # what is used is counted in GPU-seconds, of which a large pool spends many in each second
        return arrange(candidates, quantum_s=self._quantum_s * (self._gpus or 1.0))

    def _virtual(self, there: Collection[Watched], watched: Collection[Watched]) -> dict[str, float]:
        """Virtual times; a sweep that is new, or was paused, joins those of its priority."""
        taking_part = {one.launch.sweep_id for one in there}
        virtual = dict[str, float]()
        for priority in {one.priority for one in there}:
            peers = [one for one in watched if one.priority == priority]
            stayed = {
                one.launch.sweep_id: self._own(one, one.share_from)
                for one in peers
                if one.share_from is not None and not one.rejoins and one.launch.sweep_id in taking_part
            }
            away = [
                self._own(one, one.share_from)
                for one in peers
                if one.share_from is not None and one.launch.sweep_id not in stayed
            ]
            at = level(stayed.values(), away)
            virtual |= stayed
            for one in peers:
                if one.launch.sweep_id in taking_part and one.launch.sweep_id not in stayed:
                    virtual[one.launch.sweep_id] = self._joined(one, at)
        return virtual

    def _joined(self, one: Watched, at: float) -> float:
        """A sweep joins where others of its priority are at; its virtual time, which is written down."""
        own = at if one.share_from is None else rejoin(self._own(one, one.share_from), at)
        self._book.put(one.launch.sweep_id, share_from=own - self._own(one, 0.0), rejoins=0)
        return own

    def _own(self, one: Watched, share_from: float) -> float:
        """The virtual time of a sweep."""
        return share_from + self._used_s(one) / one.weight

    def _used_s(self, one: Watched) -> float:
        """GPU-seconds; where trials need no GPU, seconds of workers."""
        gpus = self._resources(one.launch.sweep_id).gpus_per_trial
        return one.worker_s * (1.0 if gpus is None else gpus or 1.0)

    def _candidate(self, one: Watched, view: View, virtual_s: float) -> Candidate:
        return Candidate(
            sweep_id=one.launch.sweep_id,
            priority=one.priority,
            weight=one.weight,
            virtual_s=virtual_s,
            demand=self._demand(one.launch.sweep_id),
            alive=_holds(view),
            since=one.submitted_at,
            leaves=view.asked_at is not None or view.stopped_at is not None or view.sweep.terminal,
        )

    def _demand(self, sweep_id: str) -> float:
        resources = self._resources(sweep_id)
        gpus, most = resources.gpus_per_trial, resources.max_concurrent
        if self._gpus is None or most is None:
            return 1.0
        return min(1.0, most * (1.0 if gpus is None else gpus) / self._gpus) or 1e-6


def _holds(view: View) -> bool:
    """Whether a sweep has its part of the pool, or may have."""
    return (view.launch in UNDER_WAY and view.alive is not False) or view.driven


def _takes_part(view: View, now: float, rules: Rules) -> bool:
    return _holds(view) or view.launch is LaunchState.STARTING or ready(view, now, rules)
