"""The probe is ended at any moment, with real processes: nothing stays, and what can be told is told."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.forked import Forked
from tests.waiting import until

SLOW = """
version: 1
name: slow
base: {synthetic: curves, step_s: 0.05}
space:
  mask_head.conv_dim: {low: 64, high: 256, step: 32}
fidelity: {iterations: 100000, rungs: [100000]}
"""


def processes(group_of: str) -> list[int]:
    """Ids of the processes that have a word in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if group_of in (path / "environ").read_text(errors="replace"):
                found.append(int(path.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


PATIENCE_S = 180.0

pytestmark = pytest.mark.slow  # waits for processes to start and to end


@pytest.mark.parametrize(
    ("signum", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGHUP, 130), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_nothing_stays_of_a_plan_that_is_stopped(tmp_path, signum, code):
    """Neither a directory nor a process, whether it is asked to stop or killed."""
    scratch, mark = tmp_path / "tmp", f"MASKSWEEP_TEST_MARK={tmp_path}"
    scratch.mkdir()
    (tmp_path / "spec.yaml").write_text(SLOW)
    name, _, value = mark.partition("=")
    plan = Forked(
        ["-m", "sweeps.cli", "plan", str(tmp_path / "spec.yaml"), "--home", "home"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(scratch), name: value},
        stderr=subprocess.PIPE,
    )
    until(lambda: list(scratch.glob("masksweep-plan-*/TIME-0")), PATIENCE_S)
    plan.send_signal(signum)
    _, said = plan.communicate(timeout=PATIENCE_S)
    assert plan.returncode == code
    assert "Traceback" not in said
    until(lambda: not processes(mark), PATIENCE_S)
    until(lambda: not list(scratch.glob("masksweep-plan-*")), PATIENCE_S)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spec.yaml", "tmp"]


def test_a_point_that_the_system_kills_is_out_of_memory_and_the_others_are_tried(tmp_path):
    """As the kernel does it where memory runs out: with SIGKILL, and without a word."""
    scratch, spec = tmp_path / "tmp", tmp_path / "spec.yaml"
    scratch.mkdir()
    spec.write_text(SLOW)
    mark = f"MASKSWEEP_TEST_MARK={tmp_path}"
    plan = Forked(
        ["-m", "sweeps.cli", "plan", str(spec), "--json", "--probe-seconds", "12"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(scratch), "MASKSWEEP_TEST_MARK": str(tmp_path)},
        stdout=subprocess.PIPE,
    )
    until(lambda: list(scratch.glob("masksweep-plan-*/TIME-0")), PATIENCE_S)
    (child,) = (pid for pid in processes(mark) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(child, signal.SIGKILL)
    document = json.loads(plan.communicate(timeout=PATIENCE_S)[0])
    assert plan.returncode == 0
    assert document["infeasible"] == [
        {
            "params": {"mask_head.conv_dim": 256},
            "reason": "out_of_host_memory: the system killed the process",
        }
    ]
    assert document["corners"]["checked"] == 3
    assert document["basis"] == "a probe of 2 points"
