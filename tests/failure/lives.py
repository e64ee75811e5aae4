"""Lives of a driver without Ray, to be killed in: search, worker and store in a process of their own.

Run as a script this is where they come from: for each line of JSON on stdin it forks a process that drives
the sweep, and answers with a line when that has ended. A fork of a warm process starts in milliseconds, and
dies of kill -9 like any other.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Kill:
    """Where a life ends: `before` or `after` its commit of that number, from 1."""

    when: Literal["before", "after"]
    commit: int


@dataclass(frozen=True)
class Life:
    """How a driver's life ended.

    Attributes:
        code: The exit code, negative for a signal.
        commits: Transactions that it committed, or was about to.
    """

    code: int
    commits: int


class Lives:
    """Starts lives, one after another."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def live(self, url: str, sweep_id: str, directory: Path, kill: Kill | None = None) -> Life:
        """One life, from its claim to its end.

        Args:
            url: The store.
            sweep_id: What to drive.
            directory: The sweep's. `iterations.log` in it gets what is trained.
            kill: Where it is to die, or None.
        """
        order = {"url": url, "sweep_id": sweep_id, "directory": str(directory)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order | {"kill": asdict(kill) if kill else None}) + "\n")
        self._process.stdin.flush()
        return Life(**json.loads(self._process.stdout.readline()))


@contextmanager
def lives() -> Iterator[Lives]:
    """A source of lives."""
    command = [sys.executable, __file__]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield Lives(process)


def drive(order: dict[str, Any], committed: Any) -> None:
    """Claims a sweep, runs it to its end with one worker, and leaves it."""
    from runners.retention import Retention
    from runners.testing import CurveWorker
    from sweeps.core.trial import Decision
    from sweeps.search import Search, Turn
    from sweeps.service import SweepService
    from sweeps.store.engine import open_engine

    directory = Path(order["directory"])
    directory.mkdir(parents=True, exist_ok=True)
    engine = open_engine(order["url"])
    commit, kill, count = engine.dialect.do_commit, order["kill"] or {}, 0

    def do_commit(connection: Any) -> None:
        nonlocal count
        count += 1
        os.write(committed, b".")
        die = kill.get("when") if kill.get("commit") == count else None
        if die == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        commit(connection)
        if die == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    engine.dialect.do_commit = do_commit  # type: ignore[method-assign]
    service = SweepService(engine)
    claim = service.claim(order["sweep_id"], time.time())
    search = Search(
        service,
        claim,
        directory=directory,
        workers=1,
        devices=0.0,
        clock=time.time,
        on_change=Retention(directory / "trials"),
    )
    worker = CurveWorker(log=directory / "iterations.log")
    while not isinstance(turn := search.next(), Turn):
        worker.start(turn)
        while search.report(worker.step()) is Decision.CONTINUE:
            pass
    ending = search.ending()
    service.finish(claim, ending.state, ending.reason, time.time())
    engine.dispose()


def main() -> None:
    """Answers orders until stdin ends."""
    import optuna  # noqa: F401 - and with it all that the forks need
    import psycopg  # noqa: F401

    import sweeps.search  # noqa: F401

    for line in sys.stdin:
        told, committed = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                drive(json.loads(line), committed)
                code = 0
            finally:
                if code:
                    sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
                os._exit(code)
        os.close(committed)
        _, status = os.waitpid(child, 0)
        with os.fdopen(told, "rb") as pipe:
            commits = len(pipe.read())
        print(json.dumps({"code": os.waitstatus_to_exitcode(status), "commits": commits}), flush=True)


if __name__ == "__main__":
    main()
