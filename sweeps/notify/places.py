"""Where people are told: places from the environment, checked before anything is sent.

A place is a URL as Apprise reads it, with the kinds that it hears of before an equals sign if it is not to
hear of all: `slack://... failed,deadline=mailto://...`. URLs hold secrets: none is printed, logged or stored.
"""

import hashlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import apprise
from apprise.manager_plugins import NotificationManager

from search_spaces.issues import did_you_mean
from sweeps.core.errors import UserError
from sweeps.core.notices import NoticeKind
from sweeps.settings import secret

URLS, FILE = "MASKSWEEP_NOTIFY_URLS", "MASKSWEEP_NOTIFY_FILE"

_KINDS = re.compile(r"([A-Za-z, _-]*)=(?=[A-Za-z0-9+.-]+:)")
_SALT = b"masksweep place"  # the same everywhere: services must find the same name for a place


@dataclass(frozen=True, slots=True)
class Place:
    """A place.

    Attributes:
        place_id: Scheme and digest of the URL: the same for every service, and no way back to the URL.
        url: As Apprise reads it; holds secrets.
        kinds: What it hears of.
    """

    place_id: str
    url: str = field(repr=False)
    kinds: frozenset[NoticeKind]


def read_places(environ: Mapping[str, str] = os.environ) -> tuple[Place, ...]:
    """The places of `MASKSWEEP_NOTIFY_URLS`, or of the file that `MASKSWEEP_NOTIFY_FILE` names.

    Spaces or lines stand between them; a line that begins with `#` is a comment. A file of comments alone
    names none: it is there to be written into.

    Raises:
        UserError: The file cannot be read, or some entries are wrong: all of them are told, by their number,
            for what is wrong may be a secret.
    """
    text = secret(environ, URLS, file_name=FILE)
    if text is None:
        return ()
    source = URLS if environ.get(URLS) else f"{FILE}: {environ[FILE]}"
    lines = (line.strip() for line in text.splitlines())
    entries = [entry for line in lines if not line.startswith("#") for entry in line.split()]
    found: dict[str, Place] = {}
    problems = []
    for number, entry in enumerate(entries, 1):
        try:
            place = _place(entry)
            if place.place_id in found:
                raise ValueError("it is named before; give one entry all its kinds")
            found[place.place_id] = place
        except ValueError as error:
            problems.append(f"  entry {number} of {len(entries)}: {error}")
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        hint = "an entry is a URL of https://appriseit.com/services, or kinds and a URL: failed,deadline=URL"
        raise UserError("\n".join([f"{source}: {count}", *problems]), hint)
    if not found and environ.get(URLS):
        raise UserError(f"{source}: names no place", "leave it out to send nothing")
    return tuple(found.values())


def place_id(url: str) -> str:
    """The name of a place. A password may be short: the digest is slow, so that nobody tries them all."""
    digest = hashlib.scrypt(url.encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=8)
    return f"{url.partition(':')[0].lower()}-{digest.hex()}"


@contextmanager
def quiet_apprise() -> Iterator[None]:
    """Apprise says nothing meanwhile: what it logs quotes URLs."""
    log = logging.getLogger("apprise")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _place(entry: str) -> Place:
    """One entry.

    Raises:
        ValueError: What is wrong with it, without what may be secret in it.
    """
    match = _KINDS.match(entry)
    kinds = frozenset(NoticeKind) if match is None else _kinds(match[1])
    url = entry if match is None else entry[match.end() :]
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", url):
        raise ValueError("it is no URL")
    with quiet_apprise():
        if not apprise.Apprise.instantiate(url, suppress_exceptions=True):
            raise ValueError(_why_not(url.partition(":")[0].lower()))
    return Place(place_id(url), url, kinds)


def _kinds(text: str) -> frozenset[NoticeKind]:
    """Kinds with commas between them.

    Raises:
        ValueError: Some are none.
    """
    allowed = [kind.value for kind in NoticeKind]
    names = [name.strip().lower() for name in text.split(",")]
    wrong = [name for name in names if name not in allowed]
    if wrong:
        near = [hint for name in wrong if (hint := did_you_mean(name, allowed))]
        said = f"; {near[0]}" if near else ""
        raise ValueError(f"got kinds {', '.join(map(repr, wrong))}, but there are {', '.join(allowed)}{said}")
    return frozenset(map(NoticeKind, names))


def _why_not(scheme: str) -> str:
    known: list[str] = list(NotificationManager().schemas())  # type: ignore[no-untyped-call]
    if scheme in known:
        return f"it is no {scheme}:// URL as that service needs it: something is missing, or too much"
    near = did_you_mean(scheme, known)
    return "no service has URLs of its scheme" + (f"; {near}" if near else "")
