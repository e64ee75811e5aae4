"""Drives one epoch of a sweep: claims it, runs its trials on Ray Tune, and leaves it ended or paused."""

import threading
import time

from runners.cluster import Pool, plan_pool, ray_cluster
from runners.guard import Guard
from runners.heartbeat import Heartbeat
from runners.interrupts import interrupts
from runners.retention import Retention
from sweeps.core.progress import Progress
from sweeps.core.states import SweepState
from sweeps.core.trial import WorkerFactory
from sweeps.launchers.runner import DriveOrder
from sweeps.records import Claim
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
    service, sweep = order.service, order.service.sweep(order.sweep_id)
    claim = service.claim(sweep.sweep_id, time.time())
    settings = order.settings
    mirror = MirrorThread(
        lambda: Mirror(service, settings.tracking_uri, artifact_root=settings.artifact_root), sweep.sweep_id
    )
    try:
        with ray_cluster(order.ray_address):
            import ray  # noqa: PLC0415 - only once its environment is set

            pool = plan_pool(
                sweep.spec.resources, ray.cluster_resources(), shared=order.ray_address is not None
            )
            if pool.note:
                order.on_note(pool.note)
            mirror.start()
            _run(order, claim, factory, pool, mirror)
    except KeyboardInterrupt:
        service.finish(claim, SweepState.PAUSED, "interrupted", time.time())
        raise
    finally:
        if not mirror.stop(MIRROR_PATIENCE_S):
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
    if ending.hopeless:
        state = SweepState.FAILED
    elif ending.paused:
        state = SweepState.PAUSED
    else:
        state = SweepState.COMPLETED
    service.finish(claim, state, ending.reason, time.time())
