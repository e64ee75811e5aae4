"""`masksweep` in a process of its own, as a user types it."""

import os
import subprocess
import sys
from pathlib import Path


def masksweep(*words: object, cwd: Path | None = None, **env: str) -> "subprocess.CompletedProcess[str]":
    """The finished process of a command, with what it printed; `env` is added to the environment."""
    return subprocess.run(
        [sys.executable, "-m", "sweeps.cli", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
    )


def succeeding(*words: object, cwd: Path | None = None, **env: str) -> str:
    """What a command printed on stdout, once it has ended well."""
    done = masksweep(*words, cwd=cwd, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout
