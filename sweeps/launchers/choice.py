"""The launcher that the settings name."""

from sweeps.core.errors import UserError
from sweeps.launchers.launcher import Launcher
from sweeps.launchers.local import LocalLauncher
from sweeps.launchers.ray_jobs import RayJobsLauncher
from sweeps.settings import Settings


def make_launcher(settings: Settings) -> Launcher:
    """The launcher of `MASKSWEEP_LAUNCHER`: `local`, or `ray:http://HOST:8265`.

    Raises:
        UserError: It is neither.
    """
    kind, _, rest = settings.launcher.partition(":")
    match kind:
        case "local" if not rest:
            return LocalLauncher(settings)
        case "ray":
            return RayJobsLauncher(rest, settings)
        case _:
            hint = "use local, or ray:http://HOST:8265 with the address of a Ray cluster's dashboard"
            raise UserError(f"MASKSWEEP_LAUNCHER: {settings.launcher!r} is no launcher", hint)
