"""What a service is told when it starts."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sweeps.api.paths import DataRoots


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take.

    Attributes:
        body_bytes: Of a request.
        body_s: Seconds in which a request's body has to be there.
        requests_per_s: Of a token, in the long run; of an address that has none, a tenth.
        burst: Requests at once, above that.
        mirroring_s: Seconds for which a sweep waits until another one has been mirrored.
        streams: Event streams at once, of all.
        streams_of_token: Event streams at once of one token.
        tokens_checked_s: Seconds after which an open stream notices that its token was revoked.
        stream_poll_s: Seconds between two looks for new events, however many listen.
        stream_quiet_s: Seconds after which a stream says that it still lives.
    """

    body_bytes: int = 1024 * 1024
    body_s: float = 30.0
    requests_per_s: float = 50.0
    burst: int = 200
    mirroring_s: float = 20.0
    streams: int = 2000
    streams_of_token: int = 100
    tokens_checked_s: float = 5.0
    stream_poll_s: float = 0.5
    stream_quiet_s: float = 15.0


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """How a service behaves.

    Attributes:
        roots: The directories that specs may name.
        limits: What one client may take.
        tracking_uri: MLflow's, to which sweeps are mirrored when asked; None: to nowhere.
        artifact_root: Directory for MLflow's artifacts where that is no server, or None.
        drives_here: Whether drivers run on this machine, so that what it has tells what trials will have.
        https: Whether it is reached by HTTPS itself, which browsers are told to keep to.
        clock: Seconds since the Unix epoch.
        monotonic: Seconds that never go back, for rates.
    """

    roots: DataRoots = field(default_factory=lambda: DataRoots(()))
    limits: Limits = field(default_factory=Limits)
    tracking_uri: str | None = None
    artifact_root: str | None = None
    drives_here: bool = False
    https: bool = False
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
