"""Which new trial begins: one of the search's, or a finalist's replicate."""

from collections.abc import Mapping

from sweeps.core.finals import Finals
from sweeps.core.replicates import replicate_seed, searched
from sweeps.core.spec import SweepSpec
from sweeps.core.trial import Suggestion
from sweeps.records import Claim, TrialRecord
from sweeps.samplers.sampler import OptunaSampler
from sweeps.service import SweepService

EXHAUSTED = "the space has no further combination"
"""Why a sweep ends before its budget of trials is spent, where its space is small."""


class Upcoming:
    """Begins trials in the store.

    Args:
        service: The store.
        claim: The licence to write.
        spec: The sweep's.
        sampler: Chooses the search's trials; replicates are none of its.
        finals: Knows the replicates.

    Attributes:
        trials: How many the search may make in all.
        exhausted: Why there are no more trials, once every combination of the space was tried; or None.
    """

    def __init__(
        self, service: SweepService, claim: Claim, spec: SweepSpec, sampler: OptunaSampler, finals: Finals
    ) -> None:
        self._service, self._claim, self._spec = service, claim, spec
        self._sampler, self._finals = sampler, finals
        self.trials = spec.budget.trials
        self.exhausted: str | None = None

    def begin(
        self, trials: Mapping[int, TrialRecord], now: float, *, gpus: float, searching: bool
    ) -> TrialRecord | None:
        """A new trial, RUNNING in the store by then, or None if there is none to be made at this moment.

        Replicates come once the search's own trials have all ended: until then finalists are not known.

        Args:
            trials: All of the sweep's by number, as the store has them.
            now: Seconds since the Unix epoch.
            gpus: Share of a GPU that it will hold.
            searching: Whether the search may make new trials, within its number.
        """
        own = searched(trials.values())
        if searching and not self.exhausted and len(own) < self.trials:
            number = len(own)
            suggestion = self._sampler.suggest(number)
            if suggestion is not None:
                attrs = self._sampler.attrs(number)
                return self._service.add_trial(self._claim, suggestion, attrs, now, gpus=gpus)
            self.exhausted = EXHAUSTED
        due = [] if any(not t.state.terminal for t in own) else self._finals.due(trials.values())
        if not due:
            return None
        finalist, seed = due[0].finalist, replicate_seed(self._spec.sampler.seed, due[0])
        suggestion = Suggestion(due[0].number, trials[finalist].params, seed)
        return self._service.add_trial(self._claim, suggestion, {}, now, gpus=gpus, replicate_of=finalist)
