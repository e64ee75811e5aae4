"""`masksweep` in a process of its own, as a user types it."""

import os
import subprocess
from pathlib import Path

from tests import forked


def masksweep(*words: object, cwd: Path | None = None, **env: str) -> "subprocess.CompletedProcess[str]":
    """The finished process of a command, with what it printed; `env` is added to the environment."""
    return forked.run(["-m", "sweeps.cli", *words], cwd=cwd, env={**os.environ, **env})


def succeeding(*words: object, cwd: Path | None = None, **env: str) -> str:
    """What a command printed on stdout, once it has ended well."""
    done = masksweep(*words, cwd=cwd, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout
