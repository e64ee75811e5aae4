"""`docs/howto/nightly.md`, as a new user follows it: block by block, in terminals."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeps.tracking.testing import free_port
from tests.waiting import until

pytestmark = pytest.mark.slow  # a service with a driver for each night, which come every minute

PATIENCE_S = 420.0
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "howto" / "nightly.md").read_text()


class Terminals:
    """Bash in the checkout, with the page's first block in each; ports are free ones, nights shorter."""

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout
        page = PAGE.replace("8799", str(free_port())).replace("*/2 * * * *", "* * * * *")
        page = page.replace("masksweep serve\n", f"masksweep serve --port {free_port()}\n")
        self.exports, *self.blocks = re.findall(r"^```\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        self._open: list[subprocess.Popen[str]] = []

    def start(self, block: str, *, says: str) -> Path:
        """The log of a terminal in which a block goes on; returns once it has printed what it `says`."""
        log = self.checkout / f"terminal-{len(self._open)}.log"
        with log.open("w") as output:
            process = self._bash(block, output, subprocess.STDOUT)
        self._open.append(process)
        until(lambda: says in log.read_text() or process.poll() is not None, PATIENCE_S, 0.3)
        assert says in log.read_text(), log.read_text()
        return log

    def run(self, block: str) -> str:
        """What a block prints that ends."""
        process = self._bash(block, subprocess.PIPE, subprocess.PIPE)
        output, words = process.communicate(timeout=300)
        assert process.returncode == 0, output + words
        return output

    def close(self) -> None:
        """Ctrl-C in each, the newest first."""
        for process in reversed(self._open):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                process.wait(60)

    def _bash(self, block, stdout, stderr) -> subprocess.Popen[str]:
        environ = {n: v for n, v in os.environ.items() if not n.startswith(("MASKSWEEP_", "MLFLOW_"))}
        return subprocess.Popen(
            ["bash", "-euc", self.exports + block],
            cwd=self.checkout,
            env={**environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )


def states(terminals) -> list[str]:
    return [sweep["state"] for sweep in json.loads(terminals.run("masksweep ls --json"))["sweeps"]]


@pytest.fixture
def terminals(tmp_path) -> Iterator[Terminals]:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    opened = Terminals(tmp_path)
    yield opened
    opened.close()


@pytest.mark.timeout(1200)
def test_the_page_leads_to_a_champion_that_is_replaced_by_a_better_one(terminals):
    """Three nights keep the first night's champion; a looser bound brings a better one, which is told."""
    hook, serve, add, show, better, last, end = terminals.blocks
    told = terminals.start(hook, says="the webhook listens")
    terminals.start(serve, says="masksweep serves")
    assert "masksweep: a test message" in told.read_text()
    terminals.run(add)
    until(lambda: told.read_text().count("nightly: night done") >= 3, PATIENCE_S, 0.3)
    assert told.read_text().count("nightly: champion v1 |") == 1
    assert "champion v2" not in told.read_text()
    assert terminals.run(show).count("KEPT") >= 2
    terminals.run(better)
    until(lambda: "nightly: champion v2 |" in told.read_text(), PATIENCE_S, 0.3)
    shown = terminals.run(last)
    assert "PROMOTED" in shown
    assert "nightly: champion v2" in shown
    terminals.run(end)
    until(lambda: not {"PENDING", "RUNNING", "STOPPING"} & set(states(terminals)), PATIENCE_S, 0.3)
