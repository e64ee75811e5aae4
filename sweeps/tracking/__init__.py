"""The MLflow mirror: shows what the store holds, holds nothing itself. Importing it imports no MLflow."""

from sweeps.tracking.errors import MirrorUnavailable
from sweeps.tracking.links import MlflowLinks
from sweeps.tracking.mirror import Mirror, MirrorState
from sweeps.tracking.thread import MirrorThread

__all__ = ["Mirror", "MirrorState", "MirrorThread", "MirrorUnavailable", "MlflowLinks"]
