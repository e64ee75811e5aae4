"""Drives one epoch of a sweep: claims it, runs its trials on Ray Tune, and leaves it ended or paused."""

import contextlib
import os
import shutil
import threading
import time
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from runners.champion.judging import Bench
from runners.champion.judging import judge as judge_night
from runners.cluster import Pool, node_resources, plan_pool, ray_cluster, vital_addresses
from runners.display import Display
from runners.guard import Guard
from runners.heartbeat import Heartbeat
from runners.interrupts import Interrupts
from runners.ray_watch import RayWatch
from runners.retention import Retention
from runners.stall import StallWatch, move, write_words
from sweeps.core.budget import BUDGET_INSTEAD, gpu_limit_note
from sweeps.core.errors import StaleEpoch, UserError, WrongState
from sweeps.core.progress import Progress
from sweeps.core.requests import Request, RequestKind
from sweeps.core.states import SweepState
from sweeps.core.trial import WorkerFactory
from sweeps.end import Ending
from sweeps.invocation import command, resume_command
from sweeps.launchers.runner import DriveOrder
from sweeps.liveness import STALE_AFTER_S, is_dead
from sweeps.patience import Waiting
from sweeps.records import Claim
from sweeps.search import Search
from sweeps.service import SweepService
from sweeps.store.champions import Champions
from sweeps.store.engine import Patience
from sweeps.tracking.mirror import Mirror
from sweeps.tracking.thread import MirrorThread

EXIT_INTERRUPTED = 130
"""As a shell has it for Ctrl-C."""

EXIT_HUNG = 1

HUNG = "driver-hung.txt"
"""In a sweep's directory: what a driver was at that hung."""

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
    settings, display = order.settings, Display(order.on_progress, order.on_note)
    interrupts = Interrupts()

    def nap(seconds: float) -> None:
        move()  # who waits for the store does not hang
        interrupts.nap(seconds)

    patience = Waiting(time.monotonic, nap, display.note)
    service = SweepService(order.service.engine, patience, launched=order.service.launched)
    sweep_id = service.sweep(order.sweep_id).sweep_id
    mirror = MirrorThread(
        lambda: Mirror(order.service, settings.tracking_uri, artifact_root=settings.artifact_root), sweep_id
    )
    order.service.check_claimable(sweep_id, time.time(), stale_after_s=STALE_AFTER_S, is_dead=is_dead)
    claim: Claim | None = None
    with interrupts:
        try:
            with ray_cluster(order.ray_address, interrupts.starting()):
                pool = _pool(order, sweep_id, display)
                import_module("runners.tune_executor")  # takes seconds, in which nobody need be kept out
                claim = _claim(service, sweep_id, display)
                mirror.start()
                try:
                    epoch = _Epoch(order, service, patience, claim, factory, pool, mirror, display)
                    while _run(epoch, interrupts):
                        claim = _claim(service, sweep_id, display)
                        epoch = replace(epoch, claim=claim)
                except KeyboardInterrupt:  # nothing runs yet
                    interrupts.ignore()
                    with contextlib.suppress(WrongState):  # it was STOPPING: the next driver ends it
                        service.finish(claim, SweepState.PAUSED, "interrupted", time.time())
        finally:
            # Ray has shut down in the meantime, while the mirror went on.
            interrupts.let_go()
            if claim is not None and not _shipped(mirror):
                catch_up = command(settings, "mirror", sweep_id)
                display.note(f"MLflow lags behind the store; catch up with: {catch_up}")


@dataclass(frozen=True, slots=True)
class _Epoch:
    """What one life of a driver has to do with."""

    order: DriveOrder
    service: SweepService
    patience: Patience
    claim: Claim
    factory: WorkerFactory
    pool: Pool
    mirror: MirrorThread
    display: Display

    def bench(self, interrupts: Interrupts, guard: Guard) -> Bench:
        """What judging the night needs, which the first signal breaks off."""
        from runners.champion.on_ray import hold_on_ray  # noqa: PLC0415 - imports Ray

        asked = threading.Event()
        interrupts.listen(asked.set, lambda: None)

        def stopped() -> bool:
            return asked.is_set() or guard.error is not None

        champions = Champions(self.order.service.engine, self.patience)
        hold = partial(hold_on_ray, pool=self.pool, stopped=stopped)
        settings, gpus = self.order.settings, self.pool.gpus
        return Bench(self.service, champions, self.claim, settings, gpus, time.time, hold)


def _pool(order: DriveOrder, sweep_id: str, display: Display) -> Pool:
    sweep = order.service.sweep(sweep_id)
    pool = plan_pool(sweep.spec.resources, node_resources(), shared=order.ray_address is not None)
    idle = gpu_limit_note("budget.gpu_hours", sweep.budget.gpu_hours, pool.gpus, BUDGET_INSTEAD)
    for note in (pool.note, idle):
        if note:
            display.note(note)
    return pool


def _shipped(mirror: MirrorThread) -> bool:
    try:
        return mirror.stop(MIRROR_PATIENCE_S)
    except KeyboardInterrupt:  # the store has it all
        return False


def _claim(service: SweepService, sweep_id: str, display: Display) -> Claim:
    """Takes the sweep over, and says so if it gets another deadline by that."""
    before = service.sweep(sweep_id)
    claim = service.claim(sweep_id, time.time(), stale_after_s=STALE_AFTER_S, is_dead=is_dead)
    deadline_at = service.sweep(sweep_id).deadline_at
    if deadline_at is not None and before.deadline_at not in (None, deadline_at):
        until = datetime.fromtimestamp(deadline_at).astimezone().isoformat(sep=" ", timespec="minutes")
        display.note(f"the deadline passed while the sweep was {before.state}; the next one is {until}")
    return claim


def _run(epoch: _Epoch, interrupts: Interrupts) -> bool:
    """Runs an epoch; whether another one is due, since the sweep was extended while it came to its end."""
    from runners.tune_executor import execute  # noqa: PLC0415 - imports Ray

    service, claim, display = epoch.service, epoch.claim, epoch.display
    directory = _directory(epoch)
    search, retention = _search(epoch, directory)
    guard = Guard(on_error=search.abandon)

    def beat() -> None:
        epoch.order.service.beat(claim, time.time())
        search.heed()

    heartbeat = Heartbeat(beat, guard.trip)

    def pause() -> None:
        search.pause()
        # A signal may come in the middle of a write to the terminal: another thread waits for its turn.
        note = "stopping at the next checkpoint; interrupt again to stop at once"
        threading.Thread(target=display.note, args=(note,), daemon=True).start()

    judging = threading.Event()

    watch = RayWatch(vital_addresses(), lambda: _ray_is_gone(epoch, search, judging))
    heartbeat.start()
    watch.start()
    cut_short = None
    try:
        interrupts.listen(pause, search.abandon)
        scratch = directory / f"tune-e{claim.epoch}"
        stall_s = service.sweep(claim.sweep_id).spec.resources.stall_s
        with StallWatch(epoch.order.hangs_after_s, _hangs).over(directory / HUNG):
            execute(search, epoch.factory, pool=epoch.pool, stall_s=stall_s, scratch=scratch, guard=guard)
        _judge(epoch, search, judging, epoch.bench(interrupts, guard))
    except KeyboardInterrupt:
        cut_short = "interrupted"
    except StaleEpoch:
        raise
    except Exception as error:
        with contextlib.suppress(Exception):  # the store may be the trouble
            epoch.order.service.finish(claim, SweepState.PAUSED, _cause(error), time.time())
        raise
    finally:
        interrupts.ignore()
        watch.stop()
        heartbeat.stop()
    if judging.is_set() and search.ending().state is not SweepState.PAUSED:
        display.note("the night was not judged: the next driver does that, and ends the sweep")
        return False
    if not cut_short:
        retention.sweep(search.progress())
    state, reason = _outcome(search.ending(), cut_short=cut_short)
    left = service.finish(claim, state, reason, time.time())
    if state is SweepState.PAUSED or left is not SweepState.PAUSED or cut_short or search.pausing:
        return False
    interrupts.let_go()
    return True


def _judge(epoch: _Epoch, search: Search, judging: threading.Event, bench: Bench) -> None:
    """Holds a night's best against its schedule's champion, before its sweep comes to its end."""
    judging.set()
    judge_night(bench, search.ending().state, epoch.display.note)
    judging.clear()


def _ray_is_gone(epoch: _Epoch, search: Search, judging: threading.Event) -> None:
    """Leaves the sweep, and the process, from another thread than the one that waits for Ray."""
    search.pause()
    claim, order = epoch.claim, epoch.order
    state, reason = _outcome(search.ending(), cut_short="Ray was stopped, or killed")
    if not judging.is_set():  # else the next driver judges, and ends the sweep
        with contextlib.suppress(Exception):
            order.service.finish(claim, state, reason, time.time())
    again = resume_command(order.settings, claim.sweep_id, order.ray_address)
    epoch.display.note(f"Ray was stopped, or killed; go on with: {again}")
    _quit()


def _directory(epoch: _Epoch) -> Path:
    """The sweep's directory, without what drivers of earlier epochs left when they died."""
    directory = epoch.order.settings.sweep_directory(epoch.claim.sweep_id)
    directory.mkdir(parents=True, exist_ok=True)
    for request in directory.glob("pause-e*"):
        request.unlink()
    for scratch in directory.glob("tune-e*"):
        shutil.rmtree(scratch, ignore_errors=True)
    return directory


def _search(epoch: _Epoch, directory: Path) -> tuple[Search, Retention]:
    scheduled = Champions(epoch.service.engine, epoch.patience).is_scheduled(epoch.claim.sweep_id)
    retention = Retention(
        directory / "trials",
        lambda number: search.checkpoint(number),  # noqa: PLW0108
        every_run=scheduled,
    )

    def on_change(progress: Progress) -> None:
        retention(progress)
        epoch.mirror.notify()
        epoch.display.progress(progress)

    def on_request(request: Request) -> None:
        match request.kind:
            case RequestKind.EXTEND:
                note = f"{request.by} extended the sweep: {request.reason}"
            case _:
                note = f"{request.by} asked to {request.kind} the sweep: stopping at the next checkpoint"
        epoch.display.note(note)

    search = Search(
        epoch.service,
        epoch.claim,
        directory=directory,
        workers=epoch.pool.workers,
        beside=epoch.pool.beside,
        devices=epoch.pool.gpus,
        clock=time.time,
        on_change=on_change,
        on_request=on_request,
        on_note=epoch.display.note,
    )
    retention.sweep(search.progress())
    return search, retention


def _hangs(file: Path, words: str) -> NoReturn:
    """Leaves the sweep as a driver that is killed does: whoever drives it next goes on."""
    write_words(file, words)
    reason = words.partition("\n")[0]
    os.write(2, f"error: the driver hung: {reason}; the rest is in {file}\n".encode())
    _quit(EXIT_HUNG)


def _quit(code: int = EXIT_INTERRUPTED) -> NoReturn:
    """Ends the process while its main thread waits inside Ray, hears no signal and would be aborted later."""
    if os.isatty(2):
        os.write(2, b"\x1b[?25h")  # a live table hides the cursor
    os._exit(code)


def _outcome(ending: Ending, *, cut_short: str | None) -> tuple[SweepState, str | None]:
    """What a search's end makes of its sweep; `cut_short`: why its workers were not waited for."""
    if cut_short and ending.state is SweepState.PAUSED:
        return ending.state, cut_short
    return ending.state, ending.reason


def _cause(error: Exception) -> str:
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
