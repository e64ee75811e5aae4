"""What people ask of a sweep, whoever drives it: one method is one transaction.

A living driver finds the request in the store and carries it out at its next checkpoints. Where nobody drives
the sweep, it is carried out here and now. Either way it is written down first, with an event: whatever dies
in between, the next driver, or the same command again, finds it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.engine import Connection, Engine

from sweeps.core.errors import WrongState
from sweeps.core.extension import Extension
from sweeps.core.reopening import extension_refusal
from sweeps.core.requests import AIMS, Request, RequestKind, RequestState, refusal
from sweeps.core.states import SweepState
from sweeps.core.stops import Limit
from sweeps.liveness import STALE_AFTER_S, is_dead
from sweeps.records import Claim, Driver, SweepRecord
from sweeps.store import submissions
from sweeps.store.asked import carry_out, close, find_key, find_request, open_request, write_down
from sweeps.store.asked_once import Once, done_before, remember
from sweeps.store.engine import reading, writing
from sweeps.store.extending import add, check_extension
from sweeps.store.find import find_sweep, lock_sweep
from sweeps.store.given_up import was_given_up
from sweeps.store.handover import living_driver
from sweeps.store.leaving import reopen


class Answer(StrEnum):
    """What became of a request at once."""

    DONE = "done"  # it is carried out
    ASKED = "asked"  # the driver will carry it out
    ALREADY = "already"  # the sweep was in that state before


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request.

    Attributes:
        answer: What became of it.
        sweep: The sweep afterwards.
        request: As the store has it; None if nothing had to be asked.
        driver: Who will carry it out, or None.
        goes_on: Of an extension: whether the sweep goes on without anybody resuming it, by its driver or by
            one that the service starts for what was submitted to it.
    """

    answer: Answer
    sweep: SweepRecord
    request: Request | None
    driver: Driver | None = None
    goes_on: bool | None = None


Check = Callable[[SweepRecord], None]


def _unchecked(_: SweepRecord) -> None:
    """Whatever it is."""


class SweepControl:
    """Takes requests.

    Args:
        engine: Of a store whose schema is up to date.
        stale_after_s: A driver seen less than this many seconds ago lives,
        is_dead: unless it is known to be gone.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        stale_after_s: float = STALE_AFTER_S,
        is_dead: Callable[[Driver], bool] = is_dead,
    ) -> None:
        self._engine, self._stale_after_s, self._is_dead = engine, stale_after_s, is_dead

    def ask(
        self,
        sweep_id: str,
        kind: RequestKind,
        *,
        by: str,
        now: float,
        reason: str | None = None,
        key: str | None = None,
        holds: bool = True,
        check: Check = _unchecked,
    ) -> Reply:
        """Asks for a pause or for the end. The same request twice is one request.

        Args:
            sweep_id: An id or a unique prefix.
            kind: What is asked for.
            by: Who asks, `user@host`.
            now: Seconds since the Unix epoch.
            reason: Why; by default who asked.
            key: Names this request of this sweep: made again, it is pursued if it waits, no more.
            holds: Whether a pause keeps the service from going on with the sweep, until somebody resumes it.
            check: Raises if the sweep is not as who asks has seen it; nobody changes it in between.

        Raises:
            UnknownSweep: There is no such sweep.
            WrongState: The sweep is in no state for it.
            StaleEpoch: A driver claimed the sweep at the same moment.
        """
        with writing(self._engine) as connection:
            sweep = lock_sweep(connection, sweep_id)
            once = Once(key, kind.value)
            before = done_before(connection, sweep.sweep_id, once)
            if before is not None:
                if before.request is not None and before.request.state is RequestState.OPEN:
                    return self._pursued(connection, sweep, before.request, now)
                return Reply(Answer.ALREADY, sweep, before.request)
            check(sweep)
            reply = self._ask(connection, sweep, kind, by=by, now=now, reason=reason, holds=holds)
            remember(connection, sweep.sweep_id, once, reply.request, by=by, now=now)
            return reply

    def resume(
        self, sweep_id: str, *, by: str, now: float, key: str | None = None, check: Check = _unchecked
    ) -> Reply:
        """Asks that a PAUSED sweep be gone on with: whoever looks after the store's sweeps starts a driver.

        One that was run by hand until now is the service's from then on. One that is FAILED since nothing
        could drive it is PAUSED first, and its drivers' deaths are counted anew.

        Args:
            sweep_id: An id or a unique prefix.
            by: Who asks, `user@host`.
            now: Seconds since the Unix epoch.
            key: Names this request of this sweep: made again, it does nothing, whoever paused it since.
            check: As for `ask`.

        Raises:
            UnknownSweep: There is no such sweep.
            WrongState: It has ended, or comes to its end.
        """
        with writing(self._engine) as connection:
            sweep, once = lock_sweep(connection, sweep_id), Once(key, "resume")
            if done_before(connection, sweep.sweep_id, once) is not None:
                return Reply(Answer.ALREADY, sweep, None)
            check(sweep)
            reply = self._resume(connection, sweep, by, now)
            remember(connection, sweep.sweep_id, once, None, by=by, now=now)
            return reply

    def was_given_up(self, sweep_id: str) -> bool:
        """Whether a sweep is FAILED since nothing could drive it.

        Raises:
            UnknownSweep: There is no such sweep.
        """
        with reading(self._engine) as connection:
            return was_given_up(connection, find_sweep(connection, sweep_id))

    def take_up(self, sweep_id: str, *, by: str, now: float) -> SweepRecord:
        """A sweep that is FAILED since nothing could drive it is PAUSED; any other one stays what it is.

        Args:
            sweep_id: An id or a unique prefix.
            by: Who drives it next, `user@host`.
            now: Seconds since the Unix epoch.

        Raises:
            UnknownSweep: There is no such sweep.
        """
        with writing(self._engine) as connection:
            sweep = lock_sweep(connection, sweep_id)
            if was_given_up(connection, sweep):
                return self._taken_up(connection, sweep, by, now)
            return sweep

    def extend(
        self,
        sweep_id: str,
        more: Extension,
        *,
        by: str,
        now: float,
        key: str | None = None,
        check: Check = _unchecked,
    ) -> Reply:
        """Adds to a sweep's budget. A driver that lives goes on with it.

        A sweep that had ended is PAUSED; if it was submitted to a service, that goes on with it.

        Args:
            sweep_id: An id or a unique prefix.
            more: What to add.
            by: Who asks, `user@host`.
            now: Seconds since the Unix epoch.
            key: Names this extension of this sweep, so that it is made once however often it is asked for.
            check: As for `ask`.

        Raises:
            UnknownSweep: There is no such sweep.
            SpecInvalid: It does not fit the budget; each issue under the name of a limit.
            WrongState: The sweep cannot be extended, or would end at once all the same.
        """
        with writing(self._engine) as connection:
            sweep = lock_sweep(connection, sweep_id)
            request = find_key(connection, sweep.sweep_id, key)
            if request is not None:
                return self._extended(connection, Answer.ALREADY, sweep.sweep_id, request, now)
            check(sweep)
            self._check_cancel(connection, sweep)
            check_extension(connection, sweep, more, now)
            request = write_down(
                connection,
                sweep,
                RequestKind.EXTEND,
                str(more),
                by=by,
                now=now,
                extension=more.document(),
                key=key,
            )
            add(connection, sweep, more, now)
            held = Claim(sweep.sweep_id, sweep.epoch)
            again = sweep.state is SweepState.PAUSED and sweep.search_ended is not None
            if sweep.state.terminal or again:
                reopen(connection, held, sweep.state, f"extended by {by}: {more}", now, by=by)
            if sweep.state.terminal:  # a pause that came too late holds nothing any more
                submissions.release(connection, sweep.sweep_id)
            if sweep.state not in (SweepState.RUNNING, SweepState.STOPPING):
                close(connection, sweep.sweep_id, RequestKind.EXTEND, RequestState.DONE, now)
            return self._extended(connection, Answer.DONE, sweep.sweep_id, request, now)

    def look(self, request: Request, now: float) -> Reply:
        """How a request stands; one whose driver has died in the meantime is carried out.

        Raises:
            WrongState: The sweep came to another end first.
            StaleEpoch: A driver claimed the sweep at the same moment.
        """
        with writing(self._engine) as connection:
            sweep = lock_sweep(connection, request.sweep_id)
            request = find_request(connection, request.request_id)
            match request.state:
                case RequestState.OPEN:
                    return self._pursued(connection, sweep, request, now)
                case RequestState.DONE:
                    return Reply(Answer.DONE, sweep, request)
                case RequestState.VOID:
                    reason = f", {sweep.reason}" if sweep.reason else ""
                    problem = f"it was {sweep.state} before it could be {AIMS[request.kind]}{reason}"
                    raise WrongState(f"sweep {sweep.sweep_id}: {problem}")

    def _extended(
        self, connection: Connection, answer: Answer, sweep_id: str, request: Request, now: float
    ) -> Reply:
        """As it is now, and whether it goes on by itself."""
        sweep = find_sweep(connection, sweep_id)
        driver = living_driver(sweep, now, self._stale_after_s, self._is_dead)
        submitted = submissions.find(connection, sweep_id)
        waits = submitted is not None and submitted.held_by is None and not sweep.state.terminal
        found = find_request(connection, request.request_id)
        return Reply(answer, sweep, found, driver, driver is not None or waits)

    def _ask(
        self,
        connection: Connection,
        sweep: SweepRecord,
        kind: RequestKind,
        *,
        by: str,
        now: float,
        reason: str | None,
        holds: bool,
    ) -> Reply:
        if kind is RequestKind.PAUSE and holds and sweep.state in (SweepState.RUNNING, SweepState.PAUSED):
            submissions.hold(connection, sweep.sweep_id, by)
        so = sweep.state is AIMS[kind]
        coming = so and kind is RequestKind.PAUSE and submissions.is_under_way(connection, sweep.sweep_id)
        if so and not coming:
            return Reply(Answer.ALREADY, sweep, None)
        self._check(connection, sweep, kind)
        request = open_request(connection, sweep.sweep_id, kind)
        if request is None:
            why = reason or f"{AIMS[kind].value.lower()} by {by}"
            request = write_down(connection, sweep, kind, why, by=by, now=now)
        if coming:  # a driver has been started, and will claim it: then it finds the request
            return Reply(Answer.ASKED, sweep, request)
        return self._pursued(connection, sweep, request, now)

    def _resume(self, connection: Connection, sweep: SweepRecord, by: str, now: float) -> Reply:
        match sweep.state:
            case SweepState.PAUSED:
                self._check_cancel(connection, sweep)
                # what a driver on its way was to find
                close(connection, sweep.sweep_id, RequestKind.PAUSE, RequestState.VOID, now)
                submissions.submit(connection, sweep.sweep_id, by=by, now=now)
                submissions.resume(connection, sweep.sweep_id, by=by, now=now)
                return Reply(Answer.ASKED, sweep, None)
            case SweepState.FAILED if was_given_up(connection, sweep):
                found = self._taken_up(connection, sweep, by, now)
                submissions.submit(connection, sweep.sweep_id, by=by, now=now)
                submissions.resume(connection, sweep.sweep_id, by=by, now=now)
                return Reply(Answer.ASKED, found, None)
            case SweepState.RUNNING if submissions.is_held_by_person(connection, sweep.sweep_id):
                # That one's pause was not carried out yet; if its driver has seen it, another one follows.
                close(connection, sweep.sweep_id, RequestKind.PAUSE, RequestState.VOID, now)
                submissions.resume(connection, sweep.sweep_id, by=by, now=now)
                return Reply(Answer.DONE, sweep, None)
            case SweepState.PENDING | SweepState.RUNNING:
                return Reply(Answer.ALREADY, sweep, None)
            case SweepState.STOPPING:
                raise WrongState(f"sweep {sweep.sweep_id} is STOPPING: it ends at the next checkpoints")
            case _:
                refused = extension_refusal(sweep.state, sweep.reason, sweep.stopped_by, frozenset(Limit))
                raise WrongState(
                    f"sweep {sweep.sweep_id} is {sweep.state}: there is nothing to go on with",
                    refused[1] if refused else "an extension adds to its budget",
                )

    def _taken_up(self, connection: Connection, sweep: SweepRecord, by: str, now: float) -> SweepRecord:
        held = Claim(sweep.sweep_id, sweep.epoch)
        reopen(connection, held, sweep.state, f"taken up again by {by}", now, by=by)
        return find_sweep(connection, sweep.sweep_id)

    def _check(self, connection: Connection, sweep: SweepRecord, kind: RequestKind) -> None:
        why = refusal(kind, sweep.state, sweep.reason)
        if why is not None:
            raise WrongState(f"sweep {sweep.sweep_id} is {sweep.state}: {why}")
        if kind is RequestKind.PAUSE:
            self._check_cancel(connection, sweep)

    def _check_cancel(self, connection: Connection, sweep: SweepRecord) -> None:
        wish = open_request(connection, sweep.sweep_id, RequestKind.CANCEL)
        if wish is not None:
            raise WrongState(f"sweep {sweep.sweep_id} is being cancelled, as {wish.by} asked")

    def _pursued(self, connection: Connection, sweep: SweepRecord, request: Request, now: float) -> Reply:
        """The request left to the driver, or carried out where there is none."""
        driver = living_driver(sweep, now, self._stale_after_s, self._is_dead)
        if driver is not None:
            return Reply(Answer.ASKED, sweep, request, driver)
        if request.kind is RequestKind.PAUSE:
            if sweep.state is SweepState.STOPPING:  # its next driver ends it: until then it is not paused
                return Reply(Answer.ASKED, sweep, request)
            wish = open_request(connection, sweep.sweep_id, RequestKind.CANCEL)
            if wish is not None:  # it overtakes the pause, which has come to nothing
                carry_out(connection, sweep, wish.kind, wish.reason, now, by=wish.by)
                void = find_request(connection, request.request_id)
                return Reply(Answer.ASKED, find_sweep(connection, sweep.sweep_id), void)
        carry_out(connection, sweep, request.kind, request.reason, now, by=request.by)
        found = find_sweep(connection, sweep.sweep_id)
        return Reply(Answer.DONE, found, find_request(connection, request.request_id))
