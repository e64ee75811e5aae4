"""A new MLflow database in an SQLite file appears whole, or not at all."""

import fcntl
from collections.abc import Callable
from pathlib import Path

_SQLITE = "sqlite:///"


def prepare(tracking_uri: str, migrate: Callable[[str], object]) -> None:
    """Makes the database that the URI names, if that is an SQLite file which is not there yet.

    MLflow's migrations take seconds, and a process that is killed among them leaves a database that no later
    one can open or finish. So they are run beside its place, and the file is renamed when they are through.

    Args:
        tracking_uri: As MLflow takes it; of any other kind nothing is done.
        migrate: Opens a tracking URI, and so brings its schema up to date.
    """
    name = tracking_uri.removeprefix(_SQLITE)
    if name == tracking_uri or not name or ":memory:" in name or "?" in name:
        return
    path = Path(name)
    if path.exists() or not path.parent.is_dir():
        return
    with path.with_name(f"{path.name}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return
        new = path.with_name(f"{path.name}.new")
        for leftover in (new, new.with_name(f"{new.name}-journal")):
            leftover.unlink(missing_ok=True)
        migrate(f"{_SQLITE}{new}")
        new.rename(path)
