"""Where things are kept, from options and the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from sweeps.core.errors import UserError

DEFAULT_HOME = "masksweep-home"
MOST_GPUS = 1_000_000.0


@dataclass(frozen=True, slots=True)
class Settings:
    """The embedded default, and what the environment replaces of it.

    Attributes:
        home: Absolute directory for everything that masksweep keeps (`--home`, `MASKSWEEP_HOME`).
        store_url: SQLAlchemy URL of the store (`MASKSWEEP_STORE_URL`, or in the file that
            `MASKSWEEP_STORE_URL_FILE` names; else SQLite in the home).
        tracking_uri: MLflow tracking URI (`MLFLOW_TRACKING_URI`, or in the file that
            `MLFLOW_TRACKING_URI_FILE` names; else SQLite in the home).
        artifact_root: Directory for MLflow's artifacts in the embedded default, or None with a server.
        data_roots: Absolute directories that specs may name, where a service takes them in
            and which drivers hold to (`MASKSWEEP_DATA_ROOTS`, with colons between them).
        launcher: What a service starts drivers with (`MASKSWEEP_LAUNCHER`): `local`, or `ray:` and the
            address of a Ray cluster's dashboard.
        pool_gpus: GPUs that the sweeps of a service share (`MASKSWEEP_POOL_GPUS`), or None: one sweep at a
            time has them all.
    """

    home: Path
    store_url: str
    tracking_uri: str
    artifact_root: str | None
    data_roots: tuple[Path, ...] = ()
    launcher: str = "local"
    pool_gpus: float | None = None

    @classmethod
    def load(cls, home: Path | None = None, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Settings for a home directory, which need not exist yet.

        Raises:
            UserError: Its path leads nowhere: `~` with a name that no user has, links in a circle. Or a
                variable of the environment cannot be read.
        """
        wanted = home or Path(environ.get("MASKSWEEP_HOME") or DEFAULT_HOME)
        try:
            root = wanted.expanduser().resolve()
        except (OSError, RuntimeError) as error:
            raise UserError(f"the home {wanted} cannot be found: {error}") from error
        tracking = secret(environ, "MLFLOW_TRACKING_URI")
        return cls(
            home=root,
            store_url=secret(environ, "MASKSWEEP_STORE_URL") or _sqlite_url(root / "masksweep.db"),
            tracking_uri=tracking or _sqlite_url(root / "mlflow.db"),
            artifact_root=None if tracking else str(root / "mlflow-artifacts"),
            data_roots=_directories(environ.get("MASKSWEEP_DATA_ROOTS") or ""),
            launcher=environ.get("MASKSWEEP_LAUNCHER") or "local",
            pool_gpus=_gpus(environ.get("MASKSWEEP_POOL_GPUS")),
        )

    @property
    def has_store(self) -> bool:
        """Whether there is a store to read: a home that nothing was run in has none."""
        kind, _, rest = self.store_url.partition(":///")
        return kind != "sqlite" or Path(unquote(rest.partition("?")[0])).exists()

    @property
    def drives_here(self) -> bool:
        """Whether a service's drivers run on this machine, with the devices that it has."""
        return self.launcher == "local"

    def sweep_directory(self, sweep_id: str) -> Path:
        """The directory of a sweep's checkpoints; workers on other machines must see it under this path."""
        return self.home / "sweeps" / sweep_id

    def champion_directory(self, schedule: str) -> Path:
        """The directory of a schedule's champions, `v1`, `v2`, ...; nothing deletes what is in it."""
        name = quote(schedule, safe="")
        return self.home / "champions" / (name if name.strip(".") else name.replace(".", "%2E"))


def secret(environ: Mapping[str, str], name: str, *, file_name: str | None = None) -> str | None:
    """A variable that may hold a password: `NAME`, or what is in the file that `NAME_FILE` names.

    Args:
        environ: The environment.
        name: Of the variable.
        file_name: Of the one that names the file, where it is not `NAME_FILE`.

    Raises:
        UserError: That file cannot be read or is empty: a secret that is not there must not turn into the
            default, a store of its own.
    """
    file_name = file_name or f"{name}_FILE"
    file = environ.get(file_name)
    if not file or environ.get(name):
        return environ.get(name) or None
    try:
        held = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise UserError(f"{file_name}: {file} cannot be read: {reason}") from error
    if not held:
        raise UserError(f"{file_name}: {file} is empty", f"write into it what {name} would be")
    return held


def _directories(text: str) -> tuple[Path, ...]:
    """Directories that are written as in `PATH`; each has to be there, for a slip would forbid all data."""
    found = []
    for part in filter(None, text.split(":")):
        path = Path(os.path.abspath(os.path.expanduser(part)))
        if not path.is_dir():
            raise UserError(f"MASKSWEEP_DATA_ROOTS: {part} is no directory", "put colons between directories")
        found.append(path)
    return tuple(found)


def _gpus(text: str | None) -> float | None:
    if not text:
        return None
    try:
        gpus = float(text)
    except ValueError:
        gpus = 0.0
    if not 0 < gpus <= MOST_GPUS:
        hint = "leave it out for one sweep at a time"
        raise UserError(f"MASKSWEEP_POOL_GPUS: got {text!r}, but needs a number over 0", hint)
    return gpus


def _sqlite_url(file: Path) -> str:
    """The database URL of a file: a question mark would begin its options, and percent signs are decoded."""
    return f"sqlite:///{str(file).replace('%', '%25').replace('?', '%3F')}"
