"""An MLflow server that goes and comes back at commits of a driver's life, with the mirror of that driver."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sweeps.service import SweepService
from sweeps.tracking.mirror import Mirror
from sweeps.tracking.testing import mlflow_server
from sweeps.tracking.thread import MirrorThread

PATIENCE_S = 120.0


@dataclass(frozen=True)
class Mlflow:
    """How the server behaves.

    Attributes:
        directory: What it keeps is there.
        port: Its port on loopback.
        up: Whether it is there at the driver's start.
        turns: Commits, from 1, at which it is killed or comes back, each once the mirror has noticed how
            it was before.
    """

    directory: str
    port: int
    up: bool = False
    turns: tuple[int, ...] = ()

    @property
    def uri(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"


class Shaky:
    """The server, and a mirror's thread, in a driver's process.

    Args:
        mlflow: How the server behaves.
        service: The store.
        sweep_id: What is mirrored.
    """

    def __init__(self, mlflow: Mlflow, service: SweepService, sweep_id: str) -> None:
        self._mlflow, self._up, self._server = mlflow, False, ExitStack()
        self._synced = 0
        self.thread = MirrorThread(lambda: self._mirror(service), sweep_id, interval_s=0.05)
        if mlflow.up:
            self._turn()
        self.thread.start()

    def at(self, commit: int) -> None:
        """Called after each commit."""
        if commit in self._mlflow.turns:
            self._wait()
            self._turn()

    def stop(self) -> bool:
        """Whether all was shipped; the server goes as well."""
        with self._server:
            return self.thread.stop(PATIENCE_S)

    def _mirror(self, service: SweepService) -> Mirror:
        shaky = self

        class Counted(Mirror):
            def sync(self, sweep_id: str, **more: object) -> None:
                super().sync(sweep_id, **more)  # type: ignore[arg-type]
                shaky._synced += 1

        return Counted(service, self._mlflow.uri)

    def _turn(self) -> None:
        self._up = not self._up
        if self._up:
            self._synced = 0
            self._server.enter_context(mlflow_server(Path(self._mlflow.directory), self._mlflow.port))
        else:
            self._server.close()

    def _wait(self) -> None:
        """Until the mirror has shipped something, or has failed to."""
        until = time.monotonic() + PATIENCE_S
        while not (self._synced if self._up else self.thread.problem):
            assert time.monotonic() < until, "the mirror says nothing"
            self.thread.notify()
            time.sleep(0.02)
