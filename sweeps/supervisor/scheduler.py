"""Fires schedules: decides nights whose time has come, begins them, and closes them with their windows.

Any number of services may tick on one store at once, with no lease: which fire times are decided, which night
begins and which one is closed, is each decided by rows. What is decided is written down before it is done, so
that whatever dies in between, the next tick of any service goes on with it.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path

from sweeps.core.errors import StaleEpoch, StoreUnavailable, UserError, WrongState
from sweeps.core.requests import RequestKind
from sweeps.core.states import SweepState
from sweeps.liveness import is_dead
from sweeps.records import Driver
from sweeps.schedules.nights import FiringState, ScheduleState, Why, night_text, window_end
from sweeps.schedules.rule import Overlap
from sweeps.service import SweepService
from sweeps.store import submissions
from sweeps.store.control import SweepControl
from sweeps.store.firings import FiringRecord, Firings
from sweeps.store.nights import Last, Night, Nights
from sweeps.store.schedules import ScheduleRecord, Schedules
from sweeps.supervisor.night_sweeps import is_of, new_sweep
from sweeps.supervisor.unjudged import unjudged

EVERY_S = 2.0
"""Between two ticks."""

MOST_BEGUN = 20
"""Schedules whose nights one tick takes further: windows close on time also where thousands fire at once."""

_log = logging.getLogger(__name__)


class Scheduler:
    """Fires the schedules of a store.

    Args:
        service: On the store.
        clock: Seconds since the Unix epoch; on several machines, to be the same within some seconds.
        roots: Directories that sweeps may name files of; none of them: anywhere.
        is_dead: Whether a driver is seen to be gone.
    """

    def __init__(
        self,
        service: SweepService,
        clock: Callable[[], float] = time.time,
        *,
        roots: tuple[Path, ...] = (),
        is_dead: Callable[[Driver], bool] = is_dead,
    ) -> None:
        self._service, self._clock, self._roots = service, clock, roots
        self._by = f"{submissions.SCHEDULER}@{socket.gethostname()}"
        self._schedules, self._firings = Schedules(service.engine), Firings(service.engine)
        self._nights = Nights(service.engine, self._by)
        self._control = SweepControl(service.engine, is_dead=is_dead)
        self._passed_over = set[tuple[str, str]]()

    def run(self, stop: threading.Event, every_s: float = EVERY_S) -> None:
        """Ticks again and again until told to stop; at once where the last tick has left something."""
        while not stop.is_set():
            more = False
            try:
                more = self.tick()
            except StoreUnavailable as error:  # restarted, or away: it is asked again
                _log.warning("the store does not answer: %s", error)
            except Exception:
                _log.exception("the scheduler goes on after an error")
            stop.wait(0.0 if more else every_s)

    def tick(self) -> bool:
        """Closes nights that are over, decides a page of what is due, and begins some nights.

        Returns:
            Whether there is more to do at once.

        Raises:
            StoreUnavailable: The store does not answer. What was begun is found and finished by a later tick.
        """
        now = self._clock()
        for night in self._nights.running():
            self._watch(night, now)
        more = self._firings.is_due(now) and self._firings.fire(now, by=self._by) > 0
        waiting = self._firings.open()
        running = {night.firing.schedule: night for night in self._nights.running()} if waiting else {}
        taken = 0
        for name, nights in groupby(waiting, lambda firing: firing.schedule):
            if taken == MOST_BEGUN:
                return True
            try:
                taken += self._take_up(self._schedules.get(name), _in_turn(nights), running.get(name), now)
            except (WrongState, StaleEpoch) as error:  # somebody else was faster: seen anew by the next tick
                _log.info("schedule %s: %s", name, error)
            except StoreUnavailable:
                raise
            except Exception as error:  # of one schedule's data, such as its spec: the others go on
                self._pass_over(name, error)
        return more

    # -- nights that run

    def _watch(self, night: Night, now: float) -> None:
        """Closes a night whose sweep has ended, or whose window or GPU-hours have."""
        over = _over(night, now)
        try:
            if night.state.terminal:
                reason = f": {night.reason}" if night.reason else ""
                ended = f"the sweep is {night.state}{reason}"
                self._nights.close(night, now, ended, verdict=unjudged(self._service, night, now))
            elif over is not None:
                self._pause(night, over, now)
            elif night.state is SweepState.PAUSED and night.held_by and not night.held_by_person:
                self._nights.let_go(night, now)  # it was paused for the night before, which overran
        except (WrongState, StaleEpoch) as error:
            _log.info("schedule %s: %s", night.firing.schedule, error)
        except StoreUnavailable:
            raise
        except Exception as error:  # of one sweep's data, such as its spec: the others go on
            self._pass_over(night.firing.schedule, error)

    def _pass_over(self, name: str, error: Exception) -> None:
        """Says of a schedule once, and not at each tick, why none of its nights is taken further."""
        said = f"{type(error).__name__}: {error}"
        if (name, said) not in self._passed_over:
            self._passed_over.add((name, said))
            traced = None if isinstance(error, UserError) else error  # what says all needs no traceback
            _log.error("schedule %s is passed over: %s", name, said, exc_info=traced)

    def _pause(self, night: Night, reason: str, now: float) -> None:
        """Its sweep is asked to pause; once it does, and is held there, the night is CLOSED."""
        if night.rests:
            who = night.held_by_person
            why = f"{reason}, and {who} had paused it" if who else reason
            self._nights.close(night, now, why, hold=True, verdict=unjudged(self._service, night, now))
        elif night.state is SweepState.PENDING:
            self._nights.hold(night, now)
        elif night.state is SweepState.RUNNING and not self._paused_by_person(night):
            by = submissions.night_name(night.firing.schedule)
            self._control.ask(night.firing.sweep_id or "", RequestKind.PAUSE, by=by, now=now, reason=reason)

    def _paused_by_person(self, night: Night) -> bool:
        """Whether somebody has asked for the pause already: then it is that one's, and stays so."""
        open_now = self._service.open_requests(night.firing.sweep_id or "")
        asked = any(request.kind is RequestKind.PAUSE for request in open_now)
        return asked and night.held_by_person is not None

    # -- nights that wait

    def _take_up(
        self, schedule: ScheduleRecord, waiting: Iterable[FiringRecord], running: Night | None, now: float
    ) -> bool:
        """Begins the first night that may begin, and says of the others why they do not.

        Returns:
            Whether a night was begun, or tried to.
        """
        tried = False
        for firing in waiting:
            refused = _refused(schedule, firing, now)
            if refused is not None:
                self._nights.move(firing, refused[0], now, refused[1])
                continue
            if running is not None and running.state is SweepState.PAUSED and running.held_by_person:
                why = f"{running.held_by_person} had paused its sweep"
                self._nights.close(running, now, why, verdict=unjudged(self._service, running, now))
                running = None
            last = None if running is not None else self._nights.last(schedule.name)
            if running is not None or (last is not None and last.busy):
                self._overlap(schedule, firing, running, last, now)
            else:
                tried = True
                if not self._begin(schedule, firing, last, now):
                    break  # somebody was faster
            running = self._nights.running_of(schedule.name)
        return tried

    def _begin(self, schedule: ScheduleRecord, firing: FiringRecord, last: Last | None, now: float) -> bool:
        """Begins a night, with the last one's sweep where there is something left of it.

        Returns:
            Whether the night is decided.
        """
        if last is not None and not last.sweep.state.terminal and is_of(last.sweep.spec, schedule.spec):
            if last.held_by_person is not None:
                reason = f"{last.held_by_person} has paused sweep {last.sweep.sweep_id}, which would go on"
                return self._nights.move(firing, FiringState.SKIPPED, now, reason)
            return self._nights.begin(firing, now, goes_on=last.sweep.sweep_id)
        try:
            new = new_sweep(self._service, schedule, firing.fire_at, self._roots)
        except StoreUnavailable:
            raise
        except UserError as error:
            return self._nights.move(firing, FiringState.FAILED, now, f"its sweep cannot be created: {error}")
        except Exception as error:  # of one schedule's data: the other schedules go on
            _log.exception("schedule %s: its data cannot be checked", schedule.name)
            reason = f"its sweep cannot be created: {type(error).__name__}: {error}"
            return self._nights.move(firing, FiringState.FAILED, now, reason)
        return self._nights.begin(firing, now, new=new)

    def _overlap(
        self,
        schedule: ScheduleRecord,
        firing: FiringRecord,
        running: Night | None,
        last: Last | None,
        now: float,
    ) -> None:
        """What becomes of a night whose time has come while another one's sweep still runs."""
        sweep_id = last.sweep.sweep_id if last is not None else ""
        other = f"sweep {sweep_id}"
        if running is not None:
            sweep_id = running.firing.sweep_id or ""
            other = f"the night of {_called(schedule, running.firing)} (sweep {sweep_id})"
        policy = schedule.rule.overlap if firing.why is Why.TIME else Overlap.QUEUE
        if running is not None and _over(running, now) is not None:
            policy = Overlap.QUEUE  # it is on its way out: nothing is to be skipped or ended for it
        if policy is Overlap.CONTINUE and not self._may_go_on(schedule, sweep_id):
            policy = Overlap.QUEUE  # this night's sweep is a new one, once the other has ended or rests
        match policy:
            case Overlap.SKIP:
                self._nights.move(firing, FiringState.SKIPPED, now, f"{other} still runs")
            case Overlap.QUEUE:
                self._queue(firing, f"waits for {other}", now)
            case Overlap.CANCEL:
                reason = f"takes the place of {other}"
                self._queue(firing, reason, now)  # written down first: the next tick asks again
                why = f"the night of {_called(schedule, firing)} takes its place"
                self._control.ask(sweep_id, RequestKind.CANCEL, by=self._by, now=now, reason=why)
            case Overlap.CONTINUE if running is not None:
                self._nights.hand_over(running, firing, now)
            case Overlap.CONTINUE:
                self._nights.begin(firing, now, goes_on=sweep_id)

    def _may_go_on(self, schedule: ScheduleRecord, sweep_id: str) -> bool:
        """Whether a sweep that runs can be another night's of the schedule as well."""
        sweep = self._service.sweep(sweep_id)
        ends = sweep.state.terminal or sweep.state is SweepState.STOPPING
        return not ends and is_of(sweep.spec, schedule.spec)

    def _queue(self, firing: FiringRecord, reason: str, now: float) -> None:
        if firing.state is FiringState.DUE:
            self._nights.move(firing, FiringState.QUEUED, now, reason)


def _in_turn(waiting: Iterable[FiringRecord]) -> list[FiringRecord]:
    """By fire time, those that are made up last: of these a night that is on time cancels one at the most."""
    return sorted(waiting, key=lambda firing: (firing.why is not Why.TIME, firing.fire_at))


def _called(schedule: ScheduleRecord, firing: FiringRecord) -> str:
    return night_text(firing.timezone or schedule.rule.timezone, firing.fire_at)


def _over(night: Night, now: float) -> str | None:
    """Why a night's sweep has to pause, or None."""
    ends_at, limit = night.firing.ends_at, night.gpu_hours
    if ends_at is not None and now >= ends_at:
        return "the night's window has closed"
    if limit is not None and night.gpu_s >= limit * 3600.0:
        return f"the night's {limit:g} GPU-hours are used up"
    return None


def _refused(schedule: ScheduleRecord, firing: FiringRecord, now: float) -> tuple[FiringState, str] | None:
    """Why a night that waits does not take place, with its state; None: it may begin."""
    if schedule.state is not ScheduleState.ACTIVE:
        return FiringState.SKIPPED, f"the schedule is {schedule.state}"
    closes_at = window_end(schedule.rule, firing.why, firing.fire_at, now)
    if closes_at is not None and closes_at <= now:
        return FiringState.MISSED, "its window has passed before it could begin"
    return None
