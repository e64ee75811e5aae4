"""Shared by all tests: one Ray cluster and one synthetic data set a session."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

# Tests talk to servers of their own on loopback; nothing is written to the user's Ray token.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    """A Ray head with two CPUs and four logical GPUs, which every test joins as a driver of its own."""
    from runners.cluster import QUIET_RAY

    os.environ.update(QUIET_RAY)
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "num_gpus": 4, "include_dashboard": False},
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
