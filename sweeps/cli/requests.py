"""`masksweep pause` and `masksweep cancel`: asking something of a sweep, whoever drives it."""

import time

from sweeps.bootstrap import open_service
from sweeps.cli.output import print_json, words
from sweeps.core.requests import AIMS, RequestKind
from sweeps.core.states import SweepState
from sweeps.invocation import caller, command, resume_command
from sweeps.settings import Settings
from sweeps.store.control import Answer, Reply, SweepControl

POLL_S = 0.5


def ask(
    kind: RequestKind,
    sweep_id: str,
    settings: Settings,
    *,
    as_json: bool,
    wait: bool,
    reason: str | None = None,
) -> None:
    """Asks it, says what came of it, and with `wait` returns only when it is carried out.

    Raises:
        UnknownSweep: There is no such sweep.
        WrongState: The sweep is in no state for it, or came to another end first.
    """
    control = SweepControl(open_service(settings).engine)
    reply = control.ask(sweep_id, kind, by=caller(), now=time.time(), reason=reason)
    here = reply.answer is Answer.DONE
    if wait and reply.answer is Answer.ASKED:
        words.print(_told(kind, reply), markup=False)
        reply = _waited(control, reply)
    if as_json:
        print_json(_document(kind, reply))
        return
    words.print(_told(kind, reply), markup=False)
    if reply.answer is Answer.ASKED:
        again = command(settings, str(kind), reply.sweep.sweep_id, "--wait")
        words.print(f"\nhint: {again} returns once it is {AIMS[kind]}", markup=False)
    elif reply.sweep.state is SweepState.PAUSED:
        words.print(f"\nhint: {resume_command(settings, reply.sweep.sweep_id, None)}", markup=False)
    elif here and reply.sweep.epoch > 1:  # a driver had it, and no other will come to tell MLflow
        again = command(settings, "mirror", reply.sweep.sweep_id)
        words.print(f"\nhint: {again} shows it in MLflow too", markup=False)


def _waited(control: SweepControl, reply: Reply) -> Reply:
    while reply.answer is Answer.ASKED and reply.request is not None:
        time.sleep(POLL_S)
        reply = control.look(reply.request, time.time())
    return reply


def _told(kind: RequestKind, reply: Reply) -> str:
    sweep, driver = reply.sweep, reply.driver
    reason = f": {sweep.reason}" if sweep.reason else ""
    match reply.answer:
        case Answer.DONE:
            return f"sweep {sweep.sweep_id} is {sweep.state}{reason}"
        case Answer.ALREADY:
            return f"sweep {sweep.sweep_id} is {sweep.state} already{reason}"
        case Answer.ASKED:
            who = f" (pid {driver.pid} on {driver.host})" if driver else ""
            return f"sweep {sweep.sweep_id}: its driver{who} will {kind} it at the next checkpoints"


def _document(kind: RequestKind, reply: Reply) -> dict[str, object]:
    request = reply.request
    return {
        "sweep_id": reply.sweep.sweep_id,
        "request": str(kind),
        "answer": str(reply.answer),
        "state": str(reply.sweep.state),
        "reason": reply.sweep.reason if request is None else request.reason,
        "by": request and request.by,
        "at": request and request.at,
    }
