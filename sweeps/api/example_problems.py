"""Examples of errors for the OpenAPI document, made by what answers them where that can be."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from search_spaces.issues import SpecIssue
from sweeps.api import problems as kinds
from sweeps.api.bodies import Sent, of_body, read_document, read_model, read_object
from sweeps.api.models import NewToken, Reason
from sweeps.api.models_champions import RetireIn
from sweeps.api.parameters import parameter_hint, query_names, unknown_parameter
from sweeps.api.problems import KINDS, Kind, Problem, Refused, invalid_problem, problem_of
from sweeps.api.room import busy
from sweeps.api.schedule_models import BackfillIn
from sweeps.core.errors import (
    MasksweepError,
    SpecInvalid,
    StaleEpoch,
    StoreUnavailable,
    UnknownChampion,
    UnknownSchedule,
    UnknownSweep,
    WrongState,
)
from sweeps.core.extension import read_extension
from sweeps.core.spec import parse_spec
from sweeps.schedules.rule import read_rule
from sweeps.store.answers import KeyReused
from sweeps.tracking.errors import MirrorUnavailable

_SWEEP, _MISTYPED = "parts-nightly-a2b3c4", "parts-nightly-a2b3c5"
_FORM = Sent(b"version: 1", "application/x-www-form-urlencoded")
_RAW_SPEC: Mapping[str, Any] = MappingProxyType(
    {
        "version": 1,
        "name": "parts-nightly",
        "base": {"synthetic": "curves"},
        "space": {"CONV_HEAD_DIM": {"choices": [128, 256]}},
        "budgets": {"trials": 20},
    }
)
_TAKEN_HINT = (
    "take another name; if you made it and its text was lost, revoke it and make another under a new key"
)
_ERRORS: Mapping[Kind, MasksweepError] = MappingProxyType(
    {
        kinds.UNAUTHORIZED: Refused(
            kinds.UNAUTHORIZED,
            "this needs a token",
            "send `Authorization: Bearer TOKEN`; masksweep token create makes one",
        ),
        kinds.ALREADY: Refused(
            kinds.ALREADY,
            "token 'ann' was made under this key, and shown once",
            "revoke it and make another under a new key, if its text was lost",
        ),
        kinds.TAKEN: Refused(
            kinds.TAKEN, "there is a token 'ann' already, made by 'bob'; names stay taken", _TAKEN_HINT
        ),
        kinds.PRECONDITION: Refused(
            kinds.PRECONDITION,
            f"sweep {_SWEEP} is not as it was: it is PAUSED",
            "look at it again, then ask again",
        ),
        kinds.TOO_SLOW: Refused(kinds.TOO_SLOW, "the body was not there after 30 s", "send it again at once"),
        kinds.TOO_LARGE: Refused(
            kinds.TOO_LARGE, "more than 1048576 bytes", "a spec is a few kilobytes of text"
        ),
        kinds.TOO_MANY: Refused(kinds.TOO_MANY, "more requests than one client may make", "wait 1 s"),
        KINDS[UnknownSweep]: UnknownSweep(f"no sweep {_MISTYPED!r}", f"did you mean {_SWEEP}?"),
        KINDS[UnknownSchedule]: UnknownSchedule("no schedule 'nightly'", "did you mean nightly-parts?"),
        KINDS[UnknownChampion]: UnknownChampion("nightly", 9, 3),
        KINDS[StaleEpoch]: StaleEpoch(f"sweep {_SWEEP}: a driver claimed it at the same moment"),
        KINDS[KeyReused]: KeyReused(
            "the idempotency key '6f1c8b1e' was used for another request", "a new request takes a new key"
        ),
        KINDS[StoreUnavailable]: StoreUnavailable("the store does not answer"),
        KINDS[MirrorUnavailable]: MirrorUnavailable(
            "MLflow at https://mlflow.example.org: connection refused",
            "everything is in the store; masksweep mirror ships it once MLflow answers",
        ),
    }
)
"""Of kinds that are the same wherever they occur."""
_BODIES: Mapping[str, Callable[[], object]] = MappingProxyType(
    {
        "tokens": lambda: read_model(NewToken, _json('{"nam": "ann", "days": -1}')),
        "retire": lambda: read_model(RetireIn, _json('{"reason": "its disk is gone", "versoin": 3}')),
        "backfill": lambda: read_model(BackfillIn, _json('{"from": "2026-01-30", "till": "2026-01-31"}')),
        "extend": lambda: read_extension({"trials": 0}),
        "schedules": lambda: read_rule({"cron": "0 22 * *"}),
    }
)
"""What finds problems in a body, by the end of the path; elsewhere it is a reason's."""


_WRONG_STATES: Mapping[str, WrongState] = MappingProxyType(
    {
        "schedules": WrongState(
            "there is a schedule nightly already, and it is another one",
            "remove that one first, or take another name: masksweep schedule rm nightly",
        ),
        "backfill": WrongState(
            "schedule nightly is PAUSED: no night of it would begin",
            "resume it first: masksweep schedule resume nightly",
        ),
        "retire": WrongState(
            "champion v2 of nightly does not reign: v3 came after it", "only the last champion is retired"
        ),
        "mirror": WrongState(
            "this service mirrors to no MLflow", "its operator sets MLFLOW_TRACKING_URI and starts it again"
        ),
        "extend": WrongState(
            f"sweep {_SWEEP} is CANCELLED, what was cancelled is not taken up again: cancelled by ann",
            "run another sweep",
        ),
        "resume": WrongState(
            f"sweep {_SWEEP} is COMPLETED: there is nothing to go on with", "an extension adds to its budget"
        ),
    }
)
"""By the end of the path."""


def example_problem(kind: Kind, path: str, operation: Mapping[str, Any]) -> Problem:
    """What an operation answers when that kind of thing goes wrong.

    Args:
        kind: Of problem.
        path: As the document has it, with names in braces.
        operation: As the document has it.
    """
    sweep_id = _MISTYPED if kind == KINDS[UnknownSweep] else _SWEEP
    instance = path.format(sweep_id=sweep_id, number=99, name="ann" if "/tokens" in path else "nightly")
    if kind == kinds.INVALID:
        return _invalid(operation, instance)
    if kind == kinds.FAULT:
        return kinds.fault_problem(instance)
    error = _ERRORS[kind] if kind in _ERRORS else _BY_PATH[kind](path, operation)
    return problem_of(error, instance)[0]


def _forbidden(path: str, _: Mapping[str, Any]) -> MasksweepError:
    needed = "admin" if "/tokens" in path or "/notifications" in path else "operator"
    message = f"this needs the scope {needed}, and token 'ann' has viewer"
    return Refused(kinds.FORBIDDEN, message, "ask whoever runs the service for another token")


def _not_found(path: str, _: Mapping[str, Any]) -> MasksweepError:
    if "/tokens" in path:
        return Refused(kinds.NOT_FOUND, "there is no token 'ann'", "masksweep token ls lists them")
    return Refused(kinds.NOT_FOUND, f"sweep {_SWEEP} has no trial 99", "trials are counted from 0")


def _too_busy(path: str, _: Mapping[str, Any]) -> MasksweepError:
    if path.endswith("/stream"):
        return Refused(kinds.TOO_BUSY, "2000 event streams are open, which is the most", "try again later")
    return busy("16 requests that read data sets or ask MLflow are being answered")


def _unsupported(_: str, operation: Mapping[str, Any]) -> MasksweepError:
    yaml = "application/yaml" in operation["requestBody"]["content"]
    return _raised(lambda: read_document(_FORM) if yaml else read_object(_FORM))


def _spec_invalid(path: str, _: Mapping[str, Any]) -> MasksweepError:
    found = _bad_spec()
    if not path.endswith("/schedules"):
        return found
    return SpecInvalid([SpecIssue(f"spec.{each.path}", each.problem, each.hint) for each in found.issues])


@cache
def _bad_spec() -> SpecInvalid:
    found = _raised(lambda: parse_spec(_RAW_SPEC, Path("/data")))
    assert isinstance(found, SpecInvalid)
    return found


def _body_invalid(path: str, _: Mapping[str, Any]) -> MasksweepError:
    check = _BODIES.get(path.rpartition("/")[2], lambda: read_model(Reason, _json('{"raeson": "too slow"}')))

    def refuse() -> None:
        with of_body():
            check()

    return _raised(refuse)


def _wrong_state(path: str, _: Mapping[str, Any]) -> MasksweepError:
    end = path.rpartition("/")[2]
    return _WRONG_STATES.get(end, WrongState(f"sweep {_SWEEP} is COMPLETED: there is nothing to {end}"))


def _invalid(operation: Mapping[str, Any], instance: str) -> Problem:
    """The first parameter that something can be wrong with, and what pydantic says of that.

    Where nothing can be wrong with any, it is one that is not known.
    """
    for each in operation.get("parameters", ()):
        options = each["schema"].get("anyOf", [each["schema"]])
        schema = next(option for option in options if option.get("type") != "null")
        wanted: Any = None
        if schema.get("type") in ("integer", "number"):
            wanted, value = (int if schema["type"] == "integer" else float), "many"
        elif "pattern" in schema:
            wanted, value = Annotated[str, Field(pattern=schema["pattern"])], "two words"
        if wanted is not None:
            try:
                TypeAdapter(wanted).validate_python(value)
            except ValidationError as error:
                errors = error.errors(include_url=False)
                found = [{**one, "loc": (each["in"], each["name"])} for one in errors]
                hint = parameter_hint(each)
                return invalid_problem(found, instance, {} if hint is None else {each["name"]: hint})
    return invalid_problem([unknown_parameter("limt", query_names(operation))], instance, {})


def _json(text: str) -> Sent:
    return Sent(text.encode(), "application/json")


def _raised(refuse: Callable[[], object]) -> MasksweepError:
    try:
        refuse()
    except MasksweepError as error:
        return error
    raise AssertionError("it was not refused")


_BY_PATH: Mapping[Kind, Callable[[str, Mapping[str, Any]], MasksweepError]] = MappingProxyType(
    {
        kinds.FORBIDDEN: _forbidden,
        kinds.NOT_FOUND: _not_found,
        kinds.TOO_BUSY: _too_busy,
        kinds.UNSUPPORTED: _unsupported,
        KINDS[SpecInvalid]: _spec_invalid,
        KINDS[kinds.BodyInvalid]: _body_invalid,
        KINDS[WrongState]: _wrong_state,
    }
)
"""What makes an error of a path and its operation, of kinds that differ with these."""
