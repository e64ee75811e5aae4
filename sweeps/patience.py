"""How long a driver waits for a store that does not answer: its trials are worth more than some minutes."""

from collections.abc import Callable
from typing import TypeVar

from sweeps.core.errors import StoreUnavailable

PATIENCE_S = 300.0
PAUSE_S = 2.0

_T = TypeVar("_T")


class Waiting:
    """Makes an attempt again until it succeeds or time is up; what waiting does not mend is raised at once.

    Args:
        clock: Seconds on any clock that does not go back.
        sleep: Waits that many seconds.
        on_wait: Told once, in words, whenever waiting begins.
        patience_s: Seconds from the first failure to the last attempt.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        on_wait: Callable[[str], None],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._clock, self._sleep, self._on_wait, self._patience_s = clock, sleep, on_wait, patience_s

    def __call__(self, attempt: Callable[[], _T], /) -> _T:
        """What `attempt` returns.

        Raises:
            StoreUnavailable: As the last attempt did.
        """
        until: float | None = None
        while True:
            try:
                return attempt()
            except StoreUnavailable as error:
                if not error.passing:
                    raise
                if until is None:
                    until = self._clock() + self._patience_s
                    self._on_wait(f"{error}; trying again for {self._patience_s / 60:.0f} min")
                elif self._clock() >= until:
                    raise
            self._sleep(PAUSE_S)
