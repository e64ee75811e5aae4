"""Drivers as processes of this machine: each in a session of its own, which outlives the service.

A process is named by its id and the moment at which it started, as the system counts it since it booted, so
that another one to which the id was given later is not taken for it.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from sweeps.launchers.launcher import LauncherUnavailable
from sweeps.settings import Settings

TAIL_BYTES = 4000
TAIL_LINES = 20
KEPT_OUTPUTS = 10
"""Files of a sweep's drivers, the newest."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class LocalLauncher:
    """Starts drivers on this machine; what they print is in `driver-N.log` of the sweep's directory.

    Args:
        settings: Of the service: the drivers get the same.
        ray_address: A running Ray cluster that they join; None: each starts its own.
    """

    def __init__(self, settings: Settings, ray_address: str | None = None) -> None:
        self._settings = settings
        self._cluster = [] if ray_address is None else ["--ray-address", ray_address]
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, sweep_id: str, number: int) -> str:
        """Starts a driver's process.

        Raises:
            LauncherUnavailable: The system cannot start one: a full disk, too many processes.
        """
        directory = self._settings.sweep_directory(sweep_id)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for old in sorted(directory.glob("driver-*.log"), key=_number)[: 1 - KEPT_OUTPUTS]:
                old.unlink(missing_ok=True)
            with _output_file(directory, number).open("ab") as output:
                process = subprocess.Popen(
                    [*drive_command(sweep_id, number, sys.executable), *self._cluster],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self._settings.home,
                    env=driver_environment(self._settings),
                    start_new_session=True,
                )
        except OSError as error:
            raise LauncherUnavailable(f"no driver can be started: {error.strerror or error}") from error
        handle = _handle(process.pid, directory, number)
        self._children[handle] = process
        return handle

    def find(self, sweep_id: str, number: int) -> str | None:
        """None: a process tells its handle itself, with its first word."""
        return None

    def alive(self, handle: str) -> bool | None:
        """Whether the process lives; None on another machine, or of another launcher."""
        parts = _parts(handle)
        if parts is None:
            return None
        host, boot, pid, started, _ = parts
        child = self._children.get(handle)
        if child is not None:
            if child.poll() is None:
                return True
            del self._children[handle]
            return False
        if host != socket.gethostname():
            return None
        return boot == _boot() and _started(pid) == started

    def stop(self, handle: str, *, force: bool = False) -> None:
        """SIGTERM to the process, by which its driver pauses; with `force`, SIGKILL to all of its session."""
        parts = _parts(handle)
        if parts is None or not self.alive(handle):
            return
        pid = parts[2]
        with contextlib.suppress(ProcessLookupError):
            if force:
                os.killpg(pid, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGTERM)

    def output(self, handle: str) -> str:
        """The last lines of the process's file."""
        parts = _parts(handle)
        return "" if parts is None else tail(Path(parts[4]))


def drive_command(sweep_id: str, number: int, python: str) -> list[str]:
    """The command of a driver's process; home and store come from its environment."""
    return [python, "-m", "sweeps.cli", "drive", sweep_id, "--launch", str(number)]


def driver_environment(settings: Settings) -> dict[str, str]:
    """This process's environment, with the settings that a driver must share with it."""
    environment = {**os.environ, "MASKSWEEP_HOME": str(settings.home), "PYTHONUNBUFFERED": "1"}
    if "MASKSWEEP_STORE_URL_FILE" not in os.environ:
        environment["MASKSWEEP_STORE_URL"] = settings.store_url
    if settings.artifact_root is None:
        environment["MLFLOW_TRACKING_URI"] = settings.tracking_uri
    for secret in ("MASKSWEEP_NOTIFY_URLS", "MASKSWEEP_NOTIFY_FILE"):  # drivers have no use for it
        environment.pop(secret, None)
    return environment


def own_handle(settings: Settings, sweep_id: str, number: int) -> str:
    """The handle of the process that asks."""
    return _handle(os.getpid(), settings.sweep_directory(sweep_id), number)


def tail(path: Path) -> str:
    """The last lines of a file, with what cannot be printed replaced; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return last_lines(text)


def last_lines(text: str) -> str:
    """The last lines of a text, printable."""
    lines = ["".join(c if c.isprintable() else " " for c in line).rstrip() for line in text.splitlines()]
    return "\n".join([line for line in lines if line][-TAIL_LINES:])[-TAIL_BYTES:]


def _output_file(directory: Path, number: int) -> Path:
    return directory / f"driver-{number}.log"


def _number(path: Path) -> int:
    text = path.stem.partition("-")[2]
    return int(text) if text.isdigit() else 0


def _handle(pid: int, directory: Path, number: int) -> str:
    started = _started(pid) or "gone"
    return "|".join([socket.gethostname(), _boot(), str(pid), started, str(_output_file(directory, number))])


def _parts(handle: str) -> tuple[str, str, int, str, str] | None:
    """What a handle says; None if another launcher made it, as before the service was given this one."""
    match handle.split("|", 4):
        case [host, boot, pid, started, output] if pid.isdigit():
            return host, boot, int(pid), started, output
        case _:
            return None


def _boot() -> str:
    """Tells one start of the machine from another."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "unknown"


def _started(pid: int) -> str | None:
    """When a process started, in the system's ticks; None if it is gone, or only waits to be buried."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # after the command, which may hold anything
    return None if fields[0] in "ZX" else fields[19]
