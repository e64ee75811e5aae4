"""`masksweep drive`: what a supervisor's launcher starts; not for people."""

import time

from sweeps.bootstrap import open_service
from sweeps.cli.output import print_error
from sweeps.core.errors import DataChanged, SpecInvalid, WrongState
from sweeps.launchers.local import own_handle
from sweeps.liveness import STALE_AFTER_S, is_dead
from sweeps.service import SweepService
from sweeps.settings import Settings
from sweeps.store.given_up import give_up
from sweeps.store.launches import confirm


def drive_launch(
    sweep_id: str, number: int, settings: Settings, *, ray_address: str | None, handle: str | None
) -> int:
    """Drives a sweep as the process of a launch, if that launch still counts.

    Where its data or its base is no good and nothing was trained yet, the sweep is FAILED with all problems:
    whoever took it in could not read them, and another try would find the same.

    Returns:
        The exit code, as for `masksweep resume`.

    Raises:
        WrongState: The launch was given up in the meantime, or has a process already; or somebody has paused
            the sweep.
        UserError: As things are it cannot be driven; its supervisor tries again.
    """
    service = open_service(settings)
    own = handle or own_handle(settings, sweep_id, number)
    if not confirm(service.engine, sweep_id, number, time.time(), handle=own):
        raise WrongState(
            f"launch {number} of sweep {sweep_id} is over, or has a process already",
            "supervisors start drivers; to drive a sweep by hand: masksweep resume",
        )
    service = SweepService(service.engine, launched=True)
    from sweeps.cli.run import EXIT_FAILED, drive_on  # noqa: PLC0415 - confirm first: this takes seconds

    try:
        return drive_on(service, sweep_id, settings, as_json=False, ray_address=ray_address)
    except (SpecInvalid, DataChanged) as error:
        if service.trials(sweep_id):  # a mount may be away: what was trained waits for it
            raise
        claim = service.claim(sweep_id, time.time(), stale_after_s=STALE_AFTER_S, is_dead=is_dead)
        problems = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
        give_up(service.engine, claim, f"it cannot be trained: {problems}", time.time())
        print_error(error, sweep_id)
        return EXIT_FAILED
