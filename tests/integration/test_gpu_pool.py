"""The pool of GPUs on real Ray, whose GPUs are logical ones: counted and assigned, but not there."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from sweeps.core.states import SweepState
from tests.integration.home import Home

pytestmark = pytest.mark.slow  # joins a Ray cluster, and starts one of several nodes

RUNGS = {"fidelity": {"iterations": 4, "rungs": [2, 4]}, "pruner": {"type": "none"}}


@dataclass(frozen=True)
class Held:
    """What an attempt held: the GPUs that its process saw, on its node."""

    number: int
    node: str
    gpus: tuple[str, ...]


def history(log: Path) -> list[list[Held]]:
    """The attempts that ran at the same time, at each moment at which one began or ended."""
    running: dict[str, Held] = {}
    moments = []
    for line in log.read_text().splitlines():
        what, number, pid, node, gpus = line.split()
        if what == "start":
            running[pid] = Held(int(number), node, tuple(gpus.split(",")))
        else:
            del running[pid]
        moments.append(list(running.values()))
    return moments


@pytest.mark.parametrize(("share", "each"), [(0.4, 2), (0.25, 4)])
def test_trials_are_packed_by_share_and_none_spans_two_devices(
    share, each, tmp_path, mlflow_uri, ray_address
):
    """Four devices hold as many trials as whole shares fit on each, all at once, and never one more."""
    home = Home(
        tmp_path,
        mlflow_uri,
        budget={"trials": 4 * each + 2},
        resources={"gpus_per_trial": share, "cpus_per_trial": 0.1},
        **RUNGS,
    )
    home.drive(ray_address, devices=tmp_path / "devices.log", together=4 * each)
    assert home.state is SweepState.COMPLETED
    moments = history(tmp_path / "devices.log")
    assert {len(held.gpus) for moment in moments for held in moment} == {1}
    most = Counter[str]()
    for moment in moments:
        most |= Counter(held.gpus[0] for held in moment)
    assert most == dict.fromkeys("0123", each)
    assert max(map(len, moments)) == 4 * each


def test_cpus_bound_the_pool_where_they_are_fewer_than_the_shares(tmp_path, mlflow_uri, ray_address):
    """Two CPUs, one each: two trials at a time, though eight halves of a GPU would be there."""
    home = Home(tmp_path, mlflow_uri, budget={"trials": 6}, resources={"gpus_per_trial": 0.5}, **RUNGS)
    home.drive(ray_address, devices=tmp_path / "devices.log", together=2)
    assert max(map(len, history(tmp_path / "devices.log"))) == 2


@pytest.fixture(scope="module")
def uneven_cluster():
    """One node with a GPU and CPUs to spare, one with three GPUs and two CPUs; its address."""
    from runners.cluster import QUIET_RAY

    os.environ.update(QUIET_RAY)
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 4, "num_gpus": 1, "include_dashboard": False}
    )
    cluster.add_node(num_cpus=2, num_gpus=3)
    yield cluster.address
    cluster.shutdown()


@pytest.mark.parametrize(
    ("resources", "nodes"),
    [
        # two on the only GPU of the one, and two on the other, whose CPUs run out first
        ({"gpus_per_trial": 0.5, "cpus_per_trial": 1}, [2, 2]),
        ({"gpus_per_trial": 0.34, "cpus_per_trial": 0.3}, [2, 6]),
    ],
)
def test_a_cluster_of_unlike_nodes_is_filled_node_by_node(
    resources, nodes, tmp_path, mlflow_uri, uneven_cluster
):
    """Each node holds what fits on it, all at once, with at most two shares on any device."""
    home = Home(tmp_path, mlflow_uri, budget={"trials": sum(nodes) + 1}, resources=resources, **RUNGS)
    home.drive(uneven_cluster, devices=tmp_path / "devices.log", together=sum(nodes))
    assert home.state is SweepState.COMPLETED
    moments = history(tmp_path / "devices.log")
    by_node, by_device = Counter[str](), Counter[tuple[str, tuple[str, ...]]]()
    for moment in moments:
        by_node |= Counter(held.node for held in moment)
        by_device |= Counter((held.node, held.gpus) for held in moment)
    assert sorted(by_node.values()) == nodes
    assert max(by_device.values()) == 2
    assert {len(gpus) for _, gpus in by_device} == {1}
