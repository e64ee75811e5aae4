"""Drives one epoch of a sweep: claims it, runs its trials on Ray Tune, and leaves it ended or paused."""

import os
import socket
import threading
import time

from runners.cluster import Pool, plan_pool, ray_cluster
from runners.guard import Guard
from runners.heartbeat import STALE_AFTER_S, Heartbeat
from runners.interrupts import interrupts
from runners.retention import Retention
from sweeps.core.progress import Progress
from sweeps.core.states import SweepState
from sweeps.core.trial import WorkerFactory
from sweeps.launchers.runner import DriveOrder
from sweeps.records import Claim, Driver
from sweeps.search import Search
from sweeps.tracking.mirror import Mirror
from sweeps.tracking.thread import MirrorThread

MIRROR_PATIENCE_S = 30.0
"""How long the end of a sweep waits for MLflow; what is left then is shipped by `masksweep mirror`."""


def drive(order: DriveOrder, factory: WorkerFactory) -> None:
    """Runs a sweep until it ends or is paused.

    Args:
        order: Which sweep, on what.
        factory: Makes a worker inside each actor's process.

    Raises:
        UserError: It cannot be driven as things are.
        StaleEpoch: Another driver took the sweep over in the meantime.
    """
    service, settings = order.service, order.settings
    sweep = service.sweep(order.sweep_id)
    mirror = MirrorThread(
        lambda: Mirror(service, settings.tracking_uri, artifact_root=settings.artifact_root), sweep.sweep_id
    )
    claim: Claim | None = None
    try:
        with ray_cluster(order.ray_address):
            import ray  # noqa: PLC0415 - only once its environment is set

            pool = plan_pool(
                sweep.spec.resources, ray.cluster_resources(), shared=order.ray_address is not None
            )
            if pool.note:
                order.on_note(pool.note)
            claim = service.claim(sweep.sweep_id, time.time(), stale_after_s=_patience_s(sweep.driver))
            mirror.start()
            _run(order, claim, factory, pool, mirror)
    except KeyboardInterrupt:
        if claim is not None:
            service.finish(claim, SweepState.PAUSED, "interrupted", time.time())
        raise
    finally:
        # Ray has shut down in the meantime, while the mirror went on.
        if claim is not None and not mirror.stop(MIRROR_PATIENCE_S):
            order.on_note(f"MLflow lags behind the store; catch up with: masksweep mirror {sweep.sweep_id}")


def _run(order: DriveOrder, claim: Claim, factory: WorkerFactory, pool: Pool, mirror: MirrorThread) -> None:
    from runners.tune_executor import execute  # noqa: PLC0415 - imports Ray

    service = order.service
    directory = order.settings.sweep_directory(claim.sweep_id)
    directory.mkdir(parents=True, exist_ok=True)
    for leftover in directory.glob("pause-e*"):
        leftover.unlink()
    retention = Retention(directory / "trials")

    def on_change(progress: Progress) -> None:
        retention(progress)
        mirror.notify()
        order.on_progress(progress)

    search = Search(
        service,
        claim,
        directory=directory,
        workers=pool.workers,
        devices=pool.gpus,
        clock=time.time,
        on_change=on_change,
    )
    guard = Guard(on_error=search.abandon)
    heartbeat = Heartbeat(lambda: service.beat(claim, time.time()), guard.trip)

    def pause() -> None:
        search.pause()
        # A signal may come in the middle of a write to the terminal: another thread waits for its turn.
        note = "stopping at the next checkpoint; interrupt again to stop at once"
        threading.Thread(target=order.on_note, args=(note,), daemon=True).start()

    heartbeat.start()
    try:
        with interrupts(pause, search.abandon):
            execute(search, factory, pool=pool, scratch=directory / f"tune-e{claim.epoch}", guard=guard)
    finally:
        heartbeat.stop()
    ending = search.ending()
    if ending.failed:
        state = SweepState.FAILED
    elif ending.paused:
        state = SweepState.PAUSED
    else:
        state = SweepState.COMPLETED
    service.finish(claim, state, ending.reason, time.time())


def _patience_s(driver: Driver | None) -> float:
    """For how long the last driver must have been silent before its sweep is taken over.

    One that ran on this machine and is seen to be dead need not be waited for.
    """
    if driver is None or (driver.host == socket.gethostname() and not _alive(driver.pid)):
        return 0.0
    return STALE_AFTER_S


def _alive(pid: int) -> bool:
    """Whether a process other than this one has that id."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
