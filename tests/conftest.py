"""Shared by all tests: one Ray cluster and one synthetic data set a session."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

# Tests talk to servers of their own on loopback; nothing is written to the user's Ray token.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Several files run at once: more threads than cores would wait for each other by spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _ray_ends_no_tests() -> None:
    """Some tests start a Ray in this process and end it.

    Ray ends a process that asks something of a Ray that has gone: 60 s later, with exit code 1 and without
    a word that pytest would show. This one waits. Its children keep Ray's own limit.
    """
    from runners.cluster import QUIET_RAY

    os.environ.update(QUIET_RAY)
    limit = "RAY_gcs_rpc_server_reconnect_timeout_s"
    os.environ[limit] = "86400"
    from ray._raylet import Config

    Config.py_gcs_connect_timeout_s()  # the first question reads the whole environment, once
    del os.environ[limit]


@pytest.fixture(scope="session", autouse=True)
def _children_hear_signals() -> None:
    """Under `nohup` a process ignores hang-ups, in a script's background Ctrl-C, and so would its children.

    Tests send both to the programs that they start.
    """
    for signum in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, lambda *_: None)  # does nothing either, and is not inherited


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    """A Ray head with two CPUs and four logical GPUs, which every test joins as a driver of its own."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 2,
            "num_gpus": 4,
            "include_dashboard": False,
            "include_log_monitor": False,  # it reads every log ten times a second, and no test asks for that
        },
    )
    yield cluster.address
    cluster.shutdown()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk can be mounted by root alone: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic data set, small: train.json, val.json, images/, spec.yaml."""
    from runners.synthetic import write_dataset

    directory = tmp_path_factory.mktemp("parts")
    write_dataset(directory, train=24, val=12, size=128, seed=0)
    return directory


@pytest.fixture(scope="session")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A real MLflow on SQLite that drivers share: making its database takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"
