"""Names and values as MLflow takes them.

MLflow allows letters, digits and ``/ _ . - :`` and spaces in the names of metrics and params, reads them as
paths that must be in normal form, and ends them at 250 characters (``mlflow/utils/validation.py``).
Categories of a data set are called what their authors like.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

from search_spaces.parameters import Value

MAX_NAME = 250
MAX_PARAM_VALUE = 6000
MAX_TAG_VALUE = 5000  # servers before MLflow 2.18 take no more

_ILLEGAL = re.compile(r"[^\w.\-: ]")


def legal_name(name: str) -> str:
    """The nearest name that MLflow takes: illegal characters become ``_``, a long name ends in its hash."""
    parts = (_ILLEGAL.sub("_", part) for part in name.split("/"))
    legal = "/".join("_" * len(part) if part in (".", "..") else part for part in parts if part) or "_"
    return legal if len(legal) <= MAX_NAME else _marked(legal, name)


def legal_names(names: Iterable[str]) -> dict[str, str]:
    """Legal names for names that appear together, each its own: those that would fall together get a hash."""
    legal = {name: legal_name(name) for name in names}
    uses = Counter(legal.values())
    return {name: to if to == name or uses[to] == 1 else _marked(to, name) for name, to in legal.items()}


def model_name(schedule: str) -> str:
    """The registered model of a schedule; MLflow takes neither slashes nor colons there, nor we quotes."""
    return f"masksweep-{re.sub(r'[^A-Za-z0-9_.-]', '_', schedule)}"


def param_text(value: Value) -> str:
    """A parameter's value as MLflow shows it; a value beyond 6000 characters is cut and ends in its hash."""
    return clipped(str(value), MAX_PARAM_VALUE)


def clipped(text: str, limit: int) -> str:
    """`text`, or its beginning with the hash of the whole, at most `limit` characters."""
    if len(text) <= limit:
        return text
    mark = f"… sha256:{_digest(text)}"
    return text[: limit - len(mark)] + mark


def _marked(legal: str, name: str) -> str:
    mark = f"-{_digest(name)[:8]}"
    return legal[: MAX_NAME - len(mark)].rstrip("/") + mark


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
