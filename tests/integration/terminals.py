"""A page of the documentation as a new user follows it: block by block, in terminals."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.waiting import until

ROOT = Path(__file__).parents[2]


class Terminals:
    """Bash in a checkout, with the exports of the page's first block in each terminal.

    Args:
        checkout: An empty directory that stands for it.
        page: Markdown with its ports made free ones, and what else a test shortens.
        patience_s: How long a block that goes on may take until it has said what it says.

    Attributes:
        blocks: The page's blocks of commands behind the first.
    """

    def __init__(self, checkout: Path, page: str, *, patience_s: float) -> None:
        self._checkout, self._patience_s = checkout, patience_s
        self._exports, *self.blocks = re.findall(r"^```\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        self._open: list[subprocess.Popen[str]] = []
        (checkout / ".venv").symlink_to(sys.prefix)

    def start(self, block: str, *, says: str) -> Path:
        """The log of a terminal in which a block goes on; returns once it has printed what it `says`."""
        log = self._checkout / f"terminal-{len(self._open)}.log"
        with log.open("w") as output:
            process = self._bash(block, output, subprocess.STDOUT)
        self._open.append(process)
        until(lambda: says in log.read_text() or process.poll() is not None, self._patience_s, 0.3)
        assert says in log.read_text(), log.read_text()
        return log

    def run(self, block: str) -> str:
        """What a block prints that ends."""
        process = self._bash(block, subprocess.PIPE, subprocess.PIPE)
        output, words = process.communicate(timeout=300)
        assert process.returncode == 0, output + words
        return output

    def close(self) -> None:
        """Ctrl-C in each, the newest first; what has lost its own servers to that might wait for them."""
        for process in reversed(self._open):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def _bash(self, block: str, stdout, stderr) -> subprocess.Popen[str]:
        mine = ("MASKSWEEP_", "MLFLOW_", "RAY_")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
        return subprocess.Popen(
            ["bash", "-euc", self._exports + block],
            cwd=self._checkout,
            env={**environ, "PYTHONPATH": str(ROOT), "USER": "ann", "PYTHONUNBUFFERED": "1"},
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
