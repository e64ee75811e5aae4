"""Python programs that start at once: forked from a process that has imported what they import.

Run as a script this is that process. For each program it forks one, which has its own arguments, environment,
streams and end, and dies of kill -9 like any other: only the seconds of importing Ray, MLflow, torch and
Detectron2 are not spent each time.
"""

import array
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, Self

ROOT = Path(__file__).parents[1]
MODULES = (
    "mlflow.store.tracking.sqlalchemy_store",
    "psycopg",
    "ray.tune",
    "runners.detectron.worker",
    "runners.driver",
    "runners.plugin",
    "runners.testing",
    "runners.tune_executor",
    "sweeps.api.app",
    "sweeps.cli.run",
    "sweeps.cli.serve",
    "sweeps.tracking.importance_files",
)
"""What takes them long to import, and imports all else."""


class Forked:
    """As `subprocess.Popen` with text, of a program that Python runs.

    Args:
        words: What comes after `python`: `-m` and a module, or a script's path, and its arguments.
        cwd: Where it runs; by default here.
        env: Its whole environment, by default this one's. What is read as a module is imported comes from
            the environment of the tests.
        stdin, stdout, stderr: As of `Popen`.
        start_new_session: Whether it leads a process group of its own.
    """

    def __init__(
        self,
        words: Sequence[object],
        *,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        stdin: Any = subprocess.DEVNULL,
        stdout: Any = None,
        stderr: Any = None,
        start_new_session: bool = False,
    ) -> None:
        self.args, self.returncode = [str(word) for word in words], None
        self.stdin: IO[str] | None = None
        self.stdout: IO[str] | None = None
        self.stderr: IO[str] | None = None
        order = {
            "words": self.args,
            "cwd": os.fspath(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
            "session": start_new_session,
        }
        with contextlib.ExitStack() as theirs:
            streams = [self._stream(theirs, 0, stdin), self._stream(theirs, 1, stdout)]
            streams.append(streams[1] if stderr == subprocess.STDOUT else self._stream(theirs, 2, stderr))
            self._status, told = os.pipe()
            theirs.callback(os.close, told)
            _source().send(order, [*streams, told])
            while not select.select([self._status], [], [], 1.0)[0]:
                assert _source().process.poll() is None, "there is nothing to fork from: its words are above"
            self.pid = int.from_bytes(os.read(self._status, 4), "little")

    def _stream(self, theirs: contextlib.ExitStack, number: int, asked: Any) -> int:
        """What the program gets as that one of its streams; a pipe's other end becomes an attribute."""
        if asked is None:
            return number
        if asked == subprocess.DEVNULL:
            null = os.open(os.devnull, os.O_RDWR)
            theirs.callback(os.close, null)
            return null
        if asked != subprocess.PIPE:
            return int(asked if isinstance(asked, int) else asked.fileno())
        reads, writes = os.pipe()
        ours, its = (reads, writes) if number else (writes, reads)
        theirs.callback(os.close, its)
        setattr(self, ("stdin", "stdout", "stderr")[number], os.fdopen(ours, "r" if number else "w"))
        return its

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._wait(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended.

        Raises:
            subprocess.TimeoutExpired: It has not, after so many seconds.
        """
        if (code := self._wait(timeout)) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def _wait(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], seconds)[0]:
            self.returncode = int.from_bytes(os.read(self._status, 4), "little", signed=True)
            os.close(self._status)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it prints to its pipes, once it has ended; as `wait`."""
        end = None if timeout is None else time.monotonic() + timeout
        if self.stdin is not None:
            self.stdin.close()
        said = ["", ""]

        def read(number: int, stream: IO[str]) -> None:
            said[number] = stream.read()

        pipes = [(n, s) for n, s in enumerate((self.stdout, self.stderr)) if s is not None]
        readers = [threading.Thread(target=read, args=pipe, daemon=True) for pipe in pipes]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(None if end is None else max(0.0, end - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        self.wait(None if end is None else max(0.0, end - time.monotonic()))
        return said[0], said[1]

    def send_signal(self, signum: int) -> None:
        """Sends it a signal, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, signum)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the pipes and waits for its end."""
        for stream in (self.stdout, self.stderr, self.stdin):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self.wait()


def run(words: Sequence[object], *, check: bool = False, **options: Any) -> subprocess.CompletedProcess[str]:
    """A program's end and what it printed, as `subprocess.run` with captured text."""
    with Forked(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
        out, error = process.communicate()
    done = subprocess.CompletedProcess(process.args, process.wait(), out, error)
    if check:
        assert done.returncode == 0, out + error
    return done


class _Source:
    """The process that programs are forked from."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            # ends when the socket does, and so with us
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.forked", str(theirs.fileno())],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._lock = threading.Lock()

    def send(self, order: Mapping[str, object], descriptors: Sequence[int]) -> None:
        """Has a program started; the last of the descriptors gets its pid, and its exit code in the end."""
        text = json.dumps(order).encode()
        packed = array.array("i", descriptors)
        with self._lock:
            self._ours.sendmsg(
                [len(text).to_bytes(4, "little")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, packed)]
            )
            self._ours.sendall(text)


@cache
def _source() -> _Source:
    return _Source()


def _import_all() -> None:
    """What the programs import, which starts no thread that a fork would lack."""
    for name in MODULES:
        importlib.import_module(name)
    others = [task for task in Path("/proc/self/task").iterdir() if task.name != str(os.getpid())]
    names = {(task / "comm").read_text().strip() for task in others}
    assert names <= {"jemalloc_bg_thd"}, names  # of pyarrow's allocator, which starts it again in a fork


def _ordered(orders: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next order with its descriptors, or None at the end."""
    descriptors = array.array("i", [0] * 4)
    head, ancillary, _, _ = orders.recvmsg(4, socket.CMSG_SPACE(descriptors.itemsize * 4))
    if not head:
        return None
    ((_, _, packed),) = ancillary
    descriptors = array.array("i", packed)
    size, text = int.from_bytes(head, "little"), b""
    while len(text) < size:
        text += orders.recv(size - len(text))
    return json.loads(text), list(descriptors)


def _reap(told: dict[int, int]) -> None:
    """Tells how those have ended that have."""
    while told:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        code = os.waitstatus_to_exitcode(status)
        with contextlib.suppress(BrokenPipeError):
            os.write(told[pid], code.to_bytes(4, "little", signed=True))
        os.close(told.pop(pid))


def _serve(orders: socket.socket) -> dict[str, Any] | None:
    """Forks for each order; returns in each fork with what to run, and here with None at the end."""
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    told: dict[int, int] = {}
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        ready, _, _ = select.select([orders, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            _reap(told)
        if orders not in ready:
            continue
        if (received := _ordered(orders)) is None:
            return None
        order, (*streams, tell) = received
        if pid := os.fork():
            os.write(tell, pid.to_bytes(4, "little"))
            told[pid] = tell
            for descriptor in streams:
                os.close(descriptor)
            continue
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
        for descriptor in (wake, woken, tell, *told.values(), *streams):
            os.close(descriptor)
        orders.close()
        return order


def main() -> None:
    """Serves until the socket ends; in each fork it becomes the program."""
    _import_all()
    gc.collect()
    gc.freeze()  # else each fork's first collection copies all of this
    order = _serve(socket.socket(fileno=int(sys.argv[1])))
    if order is None:
        return
    if order["session"]:
        os.setsid()
    tempfile.tempdir = None  # that of the order's environment
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    words = order["words"]
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    main()
