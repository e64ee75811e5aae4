"""The Ray that a driver starts for itself on this machine: it listens on every interface."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # starts a Ray of its own, and a stranger that looks for it

SPEC = """
version: 1
name: own
base: {synthetic: curves, step_s: 0.1}
objectives: [{metric: segm/AP}]
space: {solver.base_lr: {low: 0.0003, high: 0.003, log: true}}
fidelity: {iterations: 900, rungs: [1, 900]}
budget: {trials: 1}
"""
STRANGER = """
import ray, sys
ray.init(address=sys.argv[1], logging_level="ERROR", log_to_driver=False)
print("let in")
"""


def started_by(pid: int) -> list[str]:
    """The command lines of a process's children."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if f"PPid:\t{pid}\n" in status.read_text():
                found.append(status.with_name("cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it has ended
            continue
    return found


def test_nobody_else_can_use_it(tmp_path):
    """Stock Ray runs whatever it is sent, as the user that started it: ours wants a token drawn anew."""
    (tmp_path / "spec.yaml").write_text(SPEC)
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    command = [sys.executable, "-m", "sweeps.cli", "run", "spec.yaml", "--home", "home"]
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as driver:
        try:
            assert any("rung 1/2" in line for line in driver.stderr)
            (address,) = {
                match[1]
                for line in started_by(driver.pid)
                if (match := re.search(r"--gcs-address=(\S+)", line)) and "raylet" in line.split()[0]
            }
            looks = [sys.executable, "-c", STRANGER, address]
            stranger = subprocess.run(looks, env=env, capture_output=True, text=True, check=False)
        finally:
            driver.kill()
            driver.stderr.close()
    assert stranger.returncode == 1
    assert stranger.stdout == ""
    assert "InvalidAuthToken" in stranger.stderr or "Failed to connect to Ray cluster" in stranger.stderr
