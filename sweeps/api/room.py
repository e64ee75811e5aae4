"""Room for requests that take long: they leave threads for the others, whatever they wait for."""

from collections.abc import AsyncIterator

from fastapi import Depends

from sweeps.api.context import CoreHere
from sweeps.api.problems import TOO_BUSY, Refused

MOST_AT_WORK = 16
"""Requests at once that read data sets or ask MLflow; all requests share 40 threads."""

_WAIT_S = 10


async def _room(core: CoreHere) -> AsyncIterator[None]:
    if core.at_work >= MOST_AT_WORK:
        raise busy(f"{MOST_AT_WORK} requests that read data sets or ask MLflow are being answered")
    core.at_work += 1  # all in one event loop: nobody else counts meanwhile
    try:
        yield
    finally:
        core.at_work -= 1


TAKES_ROOM = Depends(_room)
"""For routes that wait for what is not the store."""


def busy(detail: str) -> Refused:
    """The answer to a request that would have to wait for others."""
    return Refused(TOO_BUSY, detail, f"try again in {_WAIT_S} s", headers={"Retry-After": str(_WAIT_S)})
