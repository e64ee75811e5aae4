"""`docs/howto/team-service.md`, as a new user follows it on one machine: block by block, in terminals."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sweeps.client import Client
from sweeps.tracking.testing import free_port
from tests.waiting import until

pytest.importorskip("aiohttp_cors", reason="ray[default] has the dashboard")
pytestmark = pytest.mark.slow  # PostgreSQL, MLflow, a Ray head, the service, and two short trainings

PATIENCE_S = 240.0
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "howto" / "team-service.md").read_text()
SECTION = PAGE.partition("## On one machine, without Docker\n")[2].partition("\n## ")[0]
PORTS = ("5000", "6379", "8265", "8757")


class Terminals:
    """Bash in the checkout, with the exports of the page's first block; ports are free ones."""

    def __init__(self, checkout: Path, temporary: str) -> None:
        self.checkout, self.ports = checkout, {port: str(free_port()) for port in PORTS}
        section = SECTION.replace("masksweep serve\n", f"masksweep serve --port {self.ports['8757']}\n")
        for port, free in self.ports.items():
            section = re.sub(rf"\b{port}\b", free, section)
        # in the foreground, beside the other Rays of this machine, and with two CPUs
        more = f"--block --num-cpus=2 --num-gpus=0 --temp-dir={temporary}"
        more += f" --ray-client-server-port={free_port()} --dashboard-agent-listen-port={free_port()}"
        section = section.replace("ray start --head", f"ray start --head {more}")
        self.exports, *self.blocks = re.findall(r"^```\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
        self._open: list[subprocess.Popen[str]] = []

    def start(self, block: str, *, says: str | None) -> subprocess.Popen[str]:
        """A terminal in which a block goes on; returns once it has printed what it `says`."""
        log = self.checkout / f"terminal-{len(self._open)}.log"
        with log.open("w") as output:
            process = self._bash(block, output, subprocess.STDOUT)
        self._open.append(process)
        if says is not None:
            until(lambda: says in log.read_text() or process.poll() is not None, PATIENCE_S, 0.3)
            assert says in log.read_text(), log.read_text()
        return process

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

    def _bash(self, block, stdout, stderr) -> subprocess.Popen[str]:
        environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MASKSWEEP_", "MLFLOW_", "RAY_"))
        }
        return subprocess.Popen(
            ["bash", "-euc", self.exports + block],
            cwd=self.checkout,
            env={**environ, "PYTHONPATH": str(ROOT), "USER": "ann", "PYTHONUNBUFFERED": "1"},
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )


@pytest.fixture
def terminals(tmp_path) -> Iterator[Terminals]:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    with tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as short:  # for paths of sockets
        opened = Terminals(tmp_path, short)
        try:
            yield opened
        finally:
            opened.close()


def test_the_page_leads_to_a_sweep_that_the_service_runs(terminals, tmp_path):
    """From nothing to a leaderboard; store and MLflow are in PostgreSQL, the driver is a job of Ray's."""
    postgres, mlflow, ray, serve, submit = terminals.blocks
    terminals.start(postgres.removeprefix("make setup\n"), says="mlflow is at")
    terminals.start(mlflow, says="Application startup complete")
    terminals.start(ray, says="Ray runtime started")
    synth, serve = serve.split("\n", 1)
    terminals.run(f"{synth} --train 8 --val 4")
    spec = tmp_path / "team" / "data" / "spec.yaml"
    short = {"budget": {"trials": 2}, "fidelity": {"iterations": 4, "rungs": [2, 4]}}
    spec.write_text(yaml.safe_dump(yaml.safe_load(spec.read_text()) | short))
    terminals.start(serve, says="masksweep serves")
    create, client, *commands = submit.splitlines()
    token = terminals.run(create).strip()
    client = client.replace("what-was-shown", token)
    sweep_id = terminals.run(f"{client}\n{commands[0]}").strip()
    service = Client(f"http://127.0.0.1:{terminals.ports['8757']}", token)

    def ended() -> bool:
        return service.get(f"/sweeps/{sweep_id}")["state"] not in ("PENDING", "RUNNING")

    until(ended, PATIENCE_S, 0.3)  # a head that has just started refuses jobs for some seconds
    shown = json.loads(terminals.run(f"{client}\nmasksweep show {sweep_id} --json"))
    assert shown["state"] == "COMPLETED", shown
    assert sweep_id in terminals.run(f"{client}\n{commands[1]}")
    assert "segm/AP" in terminals.run(f"{client}\n{commands[2].replace('ID', sweep_id)}")
    runs = """python -c 'import mlflow; print(len(mlflow.search_runs(search_all_experiments=True)))'"""
    assert int(terminals.run(runs).split()[-1]) >= 2
