"""How mirroring fails."""

from sweeps.core.errors import MasksweepError, UserError


class MirrorUnavailable(UserError):
    """MLflow does not answer, or refuses. Nothing is lost: the next sync ships what is missing."""


class RunGone(MasksweepError):
    """MLflow no longer has the run, or somebody deleted it. The mirror makes it again."""
