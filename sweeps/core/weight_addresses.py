"""Addresses of weights: which there are, and that what is fetched stays where downloads are kept.

iopath, which fetches them for Detectron2, joins an address onto its cache directory as it is: one with `..`
would be, or would overwrite, any file of the machine.
"""

import re

WEIGHT_WORDS = ("none", "zoo", "file")
"""What a spec may say instead of an address or a path."""

SPEC_SCHEMES = ("http://", "https://", "detectron2://")
"""Of addresses in a spec."""

SCHEMES = (*SPEC_SCHEMES, "catalog://", "ftp://")
"""Of addresses that a Detectron2 config may name besides."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PLAIN = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_HUB = re.compile(rf"detectron2://{_PLAIN}(/{_PLAIN})*")
_UNSOUND = re.compile(r"[^!-~]|\\")  # spaces and line ends, which urlsplit leaves out: `.\n./` is `../` then
_DOT = r"(?:\.|%(?:25)*2e)"  # however often it was escaped
_CUT = r"(?:[/?#;&=]|%(?:25)*(?:2f|5c))"
_CLIMBS = re.compile(rf"(?:^|{_CUT}){_DOT}{_DOT}(?:$|{_CUT})", re.IGNORECASE)


def is_address(weights: str) -> bool:
    """Whether weights are fetched, and no path."""
    return "://" in weights


def scheme_of(text: str) -> str | None:
    """How an address begins, `https://`, or None for a path."""
    match = _SCHEME.match(text)
    return match[0] if match else None


def is_of_hub(weights: str) -> bool:
    """Whether weights are an address in Detectron2's own hub."""
    return _HUB.fullmatch(weights) is not None


def address_problem(address: str, schemes: tuple[str, ...] = SCHEMES) -> tuple[str, str | None] | None:
    """What is wrong with an address, and what to do about it; None if it may be fetched.

    Args:
        address: For which `is_address` is true.
        schemes: That it may have.
    """
    scheme = scheme_of(address)
    if scheme not in schemes:
        lower = (scheme or "").lower()
        hint = f"write {lower}" if lower in schemes else None
        return f"{scheme or repr(address)} is not one of {', '.join(schemes)}", hint
    if scheme == "detectron2://":
        if is_of_hub(address):
            return None
        wanted = "detectron2:// and names of letters, digits, `.`, `_` and `-` with a / between them"
        return f"got {address}, but needs {wanted}", "as detectron2://ImageNetPretrained/MSRA/R-50.pkl"
    if _UNSOUND.search(address):
        hint = "escape others: a space is %20"
        return f"got {address!r}, but needs an address of printable ASCII without spaces and \\", hint
    if _CLIMBS.search(address.removeprefix(scheme)):
        hint = "what is fetched is kept under the names in its address: write the one without .."
        return f"got {address}, but needs an address without .. between its slashes", hint
    return None
