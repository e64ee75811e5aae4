"""What people asked of a sweep since its driver began."""

import contextlib
from collections.abc import Callable

from sweeps.core.errors import StoreUnavailable
from sweeps.core.requests import Request, RequestKind
from sweeps.store.reader import StoreReader


class Wishes:
    """The open requests of one sweep, as far as they were seen. `look` may be called from any thread.

    Args:
        store: Where requests are.
        sweep_id: The sweep.
        on_request: Called once with each request.

    Attributes:
        pause: Why the sweep shall be PAUSED, or None.
        cancel: Why it shall be CANCELLED, or None.
        extended: Whether its budget is another one; whoever acts on it makes it False.
    """

    def __init__(self, store: StoreReader, sweep_id: str, on_request: Callable[[Request], None]) -> None:
        self._store, self._sweep_id, self._on_request = store, sweep_id, on_request
        self._seen: set[int] = set()
        self.pause: str | None = None
        self.cancel: str | None = None
        self.extended = False

    def look(self) -> bool:
        """Whether something new asks for an end; a store that does not answer now is asked the next time."""
        new: list[Request] = []
        with contextlib.suppress(StoreUnavailable):
            found = self._store.open_requests(self._sweep_id)
            new = [request for request in found if request.request_id not in self._seen]
        for request in new:
            self._seen.add(request.request_id)
            match request.kind:
                case RequestKind.PAUSE:
                    self.pause = request.reason
                case RequestKind.CANCEL:
                    self.cancel = request.reason
                case RequestKind.EXTEND:
                    self.extended = True
            self._on_request(request)
        return any(request.kind is not RequestKind.EXTEND for request in new)
