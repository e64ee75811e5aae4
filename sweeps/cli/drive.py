"""`masksweep drive`: what a supervisor's launcher starts; not for people."""

import time

from sweeps.bootstrap import open_service
from sweeps.core.errors import WrongState
from sweeps.launchers.local import own_handle
from sweeps.settings import Settings
from sweeps.store.launches import confirm


def drive_launch(
    sweep_id: str, number: int, settings: Settings, *, ray_address: str | None, handle: str | None
) -> int:
    """Drives a sweep as the process of a launch, if that launch still counts.

    Returns:
        The exit code, as for `masksweep resume`.

    Raises:
        WrongState: The launch was given up in the meantime, or has a process already.
    """
    service = open_service(settings)
    own = handle or own_handle(settings, sweep_id, number)
    if not confirm(service.engine, sweep_id, number, time.time(), handle=own):
        raise WrongState(
            f"launch {number} of sweep {sweep_id} is over, or has a process already",
            "supervisors start drivers; to drive a sweep by hand: masksweep resume",
        )
    from sweeps.cli.run import resume_sweep  # noqa: PLC0415 - confirm first: what follows takes seconds

    return resume_sweep(sweep_id, settings, as_json=False, ray_address=ray_address)
