"""Where things are kept, from options and the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_HOME = "masksweep-home"


@dataclass(frozen=True, slots=True)
class Settings:
    """The embedded default, and what the environment replaces of it.

    Attributes:
        home: Absolute directory for everything that masksweep keeps (`--home`, `MASKSWEEP_HOME`).
        store_url: SQLAlchemy URL of the store (`MASKSWEEP_STORE_URL`; else SQLite in the home).
        tracking_uri: MLflow tracking URI (`MLFLOW_TRACKING_URI`; else SQLite in the home).
        artifact_root: Directory for MLflow's artifacts in the embedded default, or None with a server.
    """

    home: Path
    store_url: str
    tracking_uri: str
    artifact_root: str | None

    @classmethod
    def load(cls, home: Path | None = None, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Settings for a home directory, which need not exist yet."""
        root = (home or Path(environ.get("MASKSWEEP_HOME", DEFAULT_HOME))).expanduser().resolve()
        tracking = environ.get("MLFLOW_TRACKING_URI")
        return cls(
            home=root,
            store_url=environ.get("MASKSWEEP_STORE_URL") or f"sqlite:///{root / 'masksweep.db'}",
            tracking_uri=tracking or f"sqlite:///{root / 'mlflow.db'}",
            artifact_root=None if tracking else str(root / "mlflow-artifacts"),
        )

    @property
    def has_store(self) -> bool:
        """Whether there is a store to read: a home that nothing was run in has none."""
        return (
            not self.store_url.startswith("sqlite:///") or Path(self.store_url[len("sqlite:///") :]).exists()
        )

    def sweep_directory(self, sweep_id: str) -> Path:
        """The directory of a sweep's checkpoints; workers on other machines must see it under this path."""
        return self.home / "sweeps" / sweep_id
