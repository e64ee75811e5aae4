"""`masksweep extend`: adding to a sweep's budget, whoever drives it."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces.issues import SpecIssue
from sweeps.bootstrap import open_service
from sweeps.cli.document import budget_document
from sweeps.cli.output import print_error, print_json, words
from sweeps.core.errors import SpecInvalid, UserError
from sweeps.core.extension import Extension, read_extension
from sweeps.core.reopening import OPTIONS
from sweeps.core.states import SweepState
from sweeps.core.stops import Limit
from sweeps.invocation import caller, resume_command
from sweeps.settings import Settings
from sweeps.store.control import Answer, Reply, SweepControl

MAX_KEY = 200


def extend_sweep(
    sweep_id: str,
    given: Mapping[str, Any],
    settings: Settings,
    *,
    key: str | None,
    as_json: bool,
    resume: bool,
) -> Reply | None:
    """Adds to the budget, and says what came of it.

    Args:
        sweep_id: An id or a unique prefix.
        given: What the options say, by the name of a limit; None or empty is not given. `target` holds
            texts like `segm/AP=45`.
        settings: Where the sweep is.
        key: Makes asking again change nothing.
        as_json: Print one document,
        resume: unless the sweep is gone on with here, whose end prints another one.

    Returns:
        What came of it, or None if the options have problems, which are printed.

    Raises:
        UnknownSweep: There is no such sweep.
        WrongState: It cannot be extended.
        UserError: Nothing was asked for.
    """
    if key is not None and not (0 < len(key) <= MAX_KEY and key.isprintable()):
        raise UserError(f"--key: got {key[:40]!r}, but needs text of 1 to {MAX_KEY} characters")
    control = SweepControl(open_service(settings).engine)
    try:
        more = _read(given)
        reply = control.extend(sweep_id, more, by=caller(), now=time.time(), key=key)
    except SpecInvalid as error:
        print_error(SpecInvalid([_as_option(issue) for issue in error.issues]), f"extend {sweep_id}")
        return None
    goes_on = resume and reply.driver is None
    if as_json and not goes_on:
        print_json(_document(more, reply))
        return reply
    words.print(_told(more, reply), markup=False)
    if not goes_on and not reply.goes_on:
        words.print(f"\nhint: {resume_command(settings, reply.sweep.sweep_id, None)}", markup=False)
    return reply


def given_extension(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the options of `extend` say, by the names of limits.

    Raises:
        UserError: Nothing was asked for.
    """
    document = {name: value for name, value in given.items() if value not in (None, [])}
    if not document:
        raise UserError("say what to add", f"one or more of {', '.join(OPTIONS.values())}")
    if Limit.TARGET in document:
        document["target"] = _targets(document.pop("target"))
    return document


def _read(given: Mapping[str, Any]) -> Extension:
    return read_extension(given_extension(given))


def _targets(texts: Sequence[str]) -> dict[str, object]:
    """`segm/AP=45` by name; what is no number is kept for the check to name it."""
    found: dict[str, object] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            found[name] = value
    return found


def _as_option(issue: SpecIssue) -> SpecIssue:
    name, _, rest = issue.path.partition(".")
    option = OPTIONS[Limit(name)] if name in list(Limit) else issue.path
    return SpecIssue(f"{option} {rest}".rstrip(), issue.problem, issue.hint)


def _told(more: Extension, reply: Reply) -> str:
    sweep = reply.sweep
    if reply.answer is Answer.ALREADY:
        return f"sweep {sweep.sweep_id} was extended under that key already"
    told = f"sweep {sweep.sweep_id}: {more}"
    if more.trials:
        told += f", {sweep.budget.trials} in all"
    if sweep.state is SweepState.STOPPING:
        return f"{told}; it is coming to its end, and goes on after that"
    if sweep.state is SweepState.PAUSED and reply.goes_on:
        return f"{told}; the service that it was submitted to goes on with it"
    return told


def _document(more: Extension, reply: Reply) -> dict[str, object]:
    return {
        "sweep_id": reply.sweep.sweep_id,
        "request": "extend",
        "answer": str(reply.answer),
        "state": str(reply.sweep.state),
        "added": more.document() if reply.answer is Answer.DONE else {},
        "driven": reply.driver is not None,
        "goes_on": bool(reply.goes_on),
        **budget_document(reply.sweep),
    }
