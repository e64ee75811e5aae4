"""How to call this program, and its neighbours, in a hint that can be typed as it is printed."""

import getpass
import os
import shlex
import shutil
import socket
import sys
from pathlib import Path

from sweeps.settings import Settings


def command(settings: Settings, *words: str, called_as: str | None = None, path: str | None = None) -> str:
    """A `masksweep` command line on the same home.

    Args:
        settings: What the command must find again; its home is named unless it is the default one.
        words: The command and its arguments, unquoted.
        called_as: The path by which this program was called; `sys.argv[0]` if None.
        path: Directories to look for programs in; `PATH` if None.
    """
    home = () if settings == Settings.load() else ("--home", str(settings.home))
    return f"{program('masksweep', called_as, path)} {shlex.join([*words, *home])}"


def resume_command(settings: Settings, sweep_id: str, ray_address: str | None) -> str:
    """The command that goes on with a sweep, on the same home and cluster."""
    cluster = () if ray_address is None else ("--ray-address", ray_address)
    return command(settings, "resume", sweep_id, *cluster)


def caller() -> str:
    """Who runs this program, as `user@host`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def program(name: str, called_as: str | None = None, path: str | None = None) -> str:
    """A program that is installed beside this one, quoted: its name where PATH finds it, else its path."""
    called_as = sys.argv[0] if called_as is None else called_as
    directory = os.path.dirname(called_as)
    as_module = Path(called_as).name == "__main__.py"
    if as_module:
        directory = os.path.dirname(sys.executable)
    beside = os.path.join(directory, name)
    found = shutil.which(name, path=path)
    if not os.path.exists(beside) or (found is not None and os.path.samefile(found, beside)):
        return name
    return shlex.quote(beside)


def mlflow_place(tracking_uri: str) -> str:
    """Where the runs are to be seen: a server's address, or the command that shows a database."""
    if tracking_uri.partition("://")[0] in {"http", "https", "databricks"}:
        return tracking_uri
    return f"{program('mlflow')} ui --backend-store-uri {shlex.quote(tracking_uri)}"
