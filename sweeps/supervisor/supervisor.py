"""Drives submitted sweeps: starts a driver for each, again where it dies, and stops what shall not run.

Any number of supervisors may look at one store. One has the lease and acts; another takes over once that has
run out. What is decided is written down before it is done, so that whoever comes next finds it.
"""

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

from sweeps.core.errors import (
    MasksweepError,
    StaleEpoch,
    StoreUnavailable,
    UnreadableSweep,
    UserError,
    WrongState,
)
from sweeps.core.requests import RequestKind
from sweeps.core.spec import Resources
from sweeps.core.states import SweepState
from sweeps.core.supervision import UNDER_WAY, Action, LaunchState, Rules, View, decide
from sweeps.launchers.launcher import Launcher, LauncherUnavailable
from sweeps.liveness import STALE_AFTER_S, is_dead
from sweeps.records import Driver
from sweeps.service import SweepService
from sweeps.store.control import SweepControl
from sweeps.store.given_up import give_up
from sweeps.store.handover import living_driver
from sweeps.store.launches import LaunchBook, LeaseLost
from sweeps.store.readable import tell_unreadable_sweep
from sweeps.store.submissions import SUPERVISOR
from sweeps.store.watched import Watched
from sweeps.supervisor.notes import Notes
from sweeps.supervisor.pool import Pool

LEASE_S = 30.0
EVERY_S = 2.0
"""Between two looks."""

_log = logging.getLogger(__name__)


class Supervisor:
    """Supervises the drivers of all submitted sweeps of a store.

    Args:
        service: On the store.
        launcher: Starts drivers.
        clock: Seconds since the Unix epoch; on several machines, to be the same within some seconds.
        launcher_name: As submissions name it, to be left alone if they name another one.
        holder: Names this supervisor among all of the store.
        rules: How patient it is.
        lease_s: For how long another supervisor leaves it alone after its last act.
        pool_gpus: GPUs that sweeps share; None: one sweep at a time has them all.
        quantum_s: Seconds of the whole pool that a sweep of weight 1 may be ahead of its share.
        is_dead: Whether a driver is seen to be gone.
    """

    def __init__(
        self,
        service: SweepService,
        launcher: Launcher,
        clock: Callable[[], float] = time.time,
        *,
        launcher_name: str = "local",
        holder: str | None = None,
        rules: Rules | None = None,
        lease_s: float = LEASE_S,
        pool_gpus: float | None = None,
        quantum_s: float = 900.0,
        is_dead: Callable[[Driver], bool] = is_dead,
    ) -> None:
        self._service, self._launcher, self._clock = service, launcher, clock
        self._name, self._rules, self._is_dead = launcher_name, rules or Rules(), is_dead
        self._host = socket.gethostname()
        holder = holder or f"{self._host}/{os.getpid()}/{secrets.token_hex(4)}"
        self._book = LaunchBook(service.engine, holder, lease_s)
        self._control = SweepControl(service.engine, is_dead=is_dead)
        self._resources = lru_cache(maxsize=1024)(self._read_resources)
        self._pool = Pool(pool_gpus, quantum_s, self._resources, self._book)
        self._notes = Notes(service, self._book)

    def run(self, stop: threading.Event, every_s: float = EVERY_S) -> None:
        """Looks again and again until told to stop, and gives the lease back; drivers go on."""
        while not stop.is_set():
            try:
                self.tick()
            except StoreUnavailable as error:  # restarted, or away: it is asked again
                _log.warning("the store does not answer: %s", error)
            except Exception:
                _log.exception("the supervisor goes on after an error")
            stop.wait(every_s)
        try:
            self._book.release()
        except MasksweepError as error:
            _log.warning("the lease runs out by itself: %s", error)

    def tick(self) -> bool:
        """One look at all sweeps, and one step for each; False if another supervisor has the lease.

        Raises:
            StoreUnavailable: The store does not answer. What was begun is found and finished by a later look.
        """
        now = self._clock()
        try:
            if not self._book.hold(now):
                return False
            watched = [one for one in self._mine(self._book.watched(), now) if self._readable(one)]
            seen = {one.launch.sweep_id: self._look(one, now) for one in watched}
            views = {sweep_id: view for sweep_id, (view, _) in seen.items()}
            arrangement = self._pool.arrange(watched, views, now, self._rules)
            for one in watched:
                sweep_id = one.launch.sweep_id
                view, found = seen[sweep_id]
                running = view.launch in UNDER_WAY
                wanted = sweep_id not in arrangement.leave if running else sweep_id in arrangement.start
                for_whom = arrangement.leave.get(sweep_id)
                action = decide(replace(view, wanted=wanted), now, self._rules)
                self._act(action, one, found, for_whom)
            self._notes.look(watched, now)
        except LeaseLost:
            return False
        return True

    def _mine(self, watched: list[Watched], now: float) -> list[Watched]:
        """Those that this supervisor's launcher is to run; of the others it is said why they wait."""
        mine = [one for one in watched if one.launcher in (None, self._name)]
        for one in watched:
            if one not in mine and not one.state.terminal:
                note = f"it waits for a service that runs sweeps on {one.launcher}: this one has {self._name}"
                self._book.note(one, note, now)
        return mine

    def _readable(self, one: Watched) -> bool:
        """Whether its spec can be read; one of a newer version is left to the services of that."""
        try:
            self._resources(one.launch.sweep_id)
        except UnreadableSweep as error:
            tell_unreadable_sweep(one.launch.sweep_id, error)
            return False
        return True

    def _look(self, one: Watched, now: float) -> tuple[View, str | None]:
        """What is seen of a sweep's driver, and its handle if it has been found."""
        launch = one.launch
        handle, alive = launch.handle, False if launch.state is LaunchState.WAITING else None
        if launch.state in UNDER_WAY:
            try:
                if handle is None:
                    handle = self._launcher.find(launch.sweep_id, launch.number)
                alive = False if handle is None else self._launcher.alive(handle)
            except LauncherUnavailable as error:
                _log.warning("sweep %s: %s", launch.sweep_id, error)
            except Exception:  # what one process is like must not keep the others from being looked after
                _log.exception("sweep %s: its process cannot be looked at", launch.sweep_id)
        driven = living_driver(one, now, STALE_AFTER_S, self._is_dead) is not None
        # a sweep that comes to its end needs a driver for that, whoever has asked for a pause
        stopping = one.state is SweepState.STOPPING
        asked = one.open_request
        if stopping and asked is not None and asked[1] is RequestKind.PAUSE:
            asked = None
        view = View(
            launch=launch.state,
            sweep=one.state,
            alive=alive,
            driven=driven,
            confirmed=launch.confirmed_at is not None,
            held=one.held_by is not None and not stopping,
            left=one.left,
            asked_at=None if asked is None else asked[2],
            cancelling=asked is not None and asked[1] is RequestKind.CANCEL,
            failures=launch.failures,
            retry_at=launch.retry_at,
            launched_at=launch.launched_at,
            beat_at=None if one.driver is None else one.driver.beat_at,
            ended_at=one.ended_at,
            stopped_at=launch.stopped_at,
        )
        return view, handle

    def _act(self, action: Action, one: Watched, handle: str | None, for_whom: str | None) -> None:
        try:
            self._do(action, one, handle, for_whom)
        except LauncherUnavailable as error:  # what it has done is found out by the next look
            _log.warning("sweep %s: %s", one.launch.sweep_id, error)
        except (WrongState, StaleEpoch) as error:  # somebody else was faster
            _log.info("sweep %s: %s", one.launch.sweep_id, error)
        except (LeaseLost, StoreUnavailable):
            raise
        except Exception:  # the other sweeps are looked after all the same
            _log.exception("sweep %s: %s failed", one.launch.sweep_id, action)

    def _do(self, action: Action, one: Watched, handle: str | None, for_whom: str | None) -> None:
        launch, book, now = one.launch, self._book, self._clock()
        sweep_id = launch.sweep_id
        match action:
            case Action.LAUNCH:
                self._launch(one, now)
            case Action.BURY:
                said = self._launcher.output(handle) if handle else ""
                said = said or "its process is gone without a word"
                book.bury(launch, now, said, self._rules.retry_after_s)
            case Action.GIVE_UP:
                self._give_up(one, now)
            case Action.CARRY_OUT:
                for request in self._service.open_requests(sweep_id):
                    if request.kind is not RequestKind.EXTEND:
                        self._control.look(request, now)
            case Action.YIELD:
                by, why = f"{SUPERVISOR}@{self._host}", f"makes room for sweep {for_whom}"
                self._control.ask(sweep_id, RequestKind.PAUSE, by=by, now=now, reason=why, holds=False)
            case Action.STOP:
                if book.move(launch, launch.state, now, kind="driver.stopped", stopped_at=now) and handle:
                    self._launcher.stop(handle)
            case Action.KILL:
                if handle:
                    self._launcher.stop(handle, force=True)
            case _:
                self._write_down(action, one, handle, now)

    def _write_down(self, action: Action, one: Watched, handle: str | None, now: float) -> None:
        """What is only written down."""
        launch = one.launch
        waiting: dict[str, Any] = {"handle": None, "stopped_at": None}
        started: dict[str, Any] = {"refused": 0, "retry_at": None}
        fresh: dict[str, Any] = {"failures": 0, **started, **waiting}
        match action:
            case Action.ADOPT:
                self._book.move(launch, LaunchState.RUNNING, now, kind=None, handle=handle, **started)
                self._notes.started(one, now)
            case Action.DROP:
                data = {"reason": launch.reason, "refused": launch.refused, "retry_at": launch.retry_at}
                told = data if launch.retry_at is not None else None
                self._book.move(launch, LaunchState.WAITING, now, kind="driver.dropped", data=told, **waiting)
            case Action.LEAVE:
                self._book.move(launch, LaunchState.WAITING, now, kind="driver.left", **fresh)
            case Action.END:
                self._book.move(launch, LaunchState.ENDED, now, kind=None, **waiting)
                self._book.put(launch.sweep_id, note=None, share_from=None, rejoins=0)
            case Action.REOPEN:
                self._book.move(launch, LaunchState.WAITING, now, kind=None, **fresh)
            case _:
                return

    def _launch(self, one: Watched, now: float) -> None:
        launch = self._book.write_down(one.launch, now)
        if launch is None:
            return
        try:
            handle = self._launcher.start(launch.sweep_id, launch.number)
        except Exception as error:
            said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            now, refused = self._clock(), launch.refused + 1
            again = now + self._rules.retry_after_s(refused)
            values: dict[str, Any] = {"reason": said, "refused": refused, "retry_at": again}
            self._book.move(launch, launch.state, now, kind=None, **values)  # the next look drops it
            raise
        now = self._clock()
        if self._book.move(launch, LaunchState.RUNNING, now, kind=None, handle=handle, refused=0):
            self._notes.started(one, now)

    def _give_up(self, one: Watched, now: float) -> None:
        """A claim like any driver's, which ends the sweep; of two supervisors one gets it."""
        launch = one.launch
        lines = [line.strip() for line in (launch.reason or "").splitlines() if line.strip()]
        said = f": {' / '.join(lines[-3:])}" if lines else ""
        reason = f"its driver died {launch.failures} times in a row without progress{said}"
        claim = self._service.claim(launch.sweep_id, now, stale_after_s=STALE_AFTER_S, is_dead=self._is_dead)
        give_up(self._service.engine, claim, reason, now)

    def _read_resources(self, sweep_id: str) -> Resources:
        return self._service.sweep(sweep_id).spec.resources
