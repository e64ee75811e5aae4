"""The pool of GPUs on real Ray, whose GPUs are logical ones: counted and assigned, but not there."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from sweeps.core.states import AttemptState, SweepState, TrialState
from tests.integration.home import Home

pytestmark = pytest.mark.slow  # joins a Ray cluster, and starts one of several nodes

RUNGS = {"fidelity": {"iterations": 4, "rungs": [2, 4]}, "pruner": {"type": "none"}}


@dataclass(frozen=True)
class Held:
    """What an attempt held: the GPUs that its process saw, on its node."""

    number: int
    attempt: int
    node: str
    gpus: tuple[str, ...]


def history(log: Path) -> list[list[Held]]:
    """What made a step at the same time, at each moment at which one began or ended."""
    running: dict[str, Held] = {}
    moments = []
    for line in log.read_text().splitlines():
        what, number, pid, attempt, node, gpus = line.split()
        if what == "start":
            running[pid] = Held(int(number), int(attempt), node, tuple(gpus.split(",")))
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
    home.drive_apart(uneven_cluster, devices=tmp_path / "devices.log", together=sum(nodes))
    assert home.state is SweepState.COMPLETED
    moments = history(tmp_path / "devices.log")
    by_node, by_device = Counter[str](), Counter[tuple[str, tuple[str, ...]]]()
    for moment in moments:
        by_node |= Counter(held.node for held in moment)
        by_device |= Counter((held.node, held.gpus) for held in moment)
    assert sorted(by_node.values()) == nodes
    assert max(by_device.values()) == 2
    assert {len(gpus) for _, gpus in by_device} == {1}


def test_what_runs_out_of_memory_on_a_share_is_retried_alone_on_a_device(tmp_path, mlflow_uri, ray_address):
    """With all devices shared, one is cleared for the second try; nothing waits for ever."""
    home = Home(
        tmp_path,
        mlflow_uri,
        budget={"trials": 10},
        resources={"gpus_per_trial": 0.5, "cpus_per_trial": 0.1},
        fidelity={"iterations": 6, "rungs": [2, 4, 6]},
        pruner={"type": "none"},
    )
    faults = {2: "out_of_memory", 5: "out_of_memory"}
    home.drive(ray_address, devices=tmp_path / "devices.log", together=8, step_s=0.05, faults=faults)
    assert home.state is SweepState.COMPLETED
    assert {(t.state, t.iteration) for t in home.trials} == {(TrialState.COMPLETED, 6)}
    attempts = home.service.attempts(home.sweep_id)
    lone = {number: [a for a in attempts if a.number == number][-1] for number in faults}
    assert {number: (a.attempt, a.gpus) for number, a in lone.items()} == {2: (2, 1.0), 5: (2, 1.0)}
    assert {a.gpus for a in attempts if a.number not in faults} == {0.5}
    for moment in history(tmp_path / "devices.log"):
        for held in moment:
            if held.number in faults and held.attempt == 2:
                assert [other for other in moment if other.gpus == held.gpus] == [held]


def test_on_cpus_the_second_try_is_alone_in_the_pool(tmp_path, mlflow_uri, ray_address):
    """What runs makes room at its next checkpoint, and goes on from it when the lone trial has ended."""
    home = Home(
        tmp_path,
        mlflow_uri,
        budget={"trials": 4},
        resources={"gpus_per_trial": 0},
        fidelity={"iterations": 6, "rungs": [2, 4, 6]},
        pruner={"type": "none"},
    )
    log = tmp_path / "devices.log"
    home.drive(ray_address, devices=log, together=2, step_s=0.02, faults={0: "out_of_host_memory"})
    assert {(t.state, t.iteration) for t in home.trials} == {(TrialState.COMPLETED, 6)}
    made_room = [a for a in home.service.attempts(home.sweep_id) if a.state is AttemptState.PAUSED]
    assert {a.reason for a in made_room} <= {"makes room for trial 0, which runs with nothing else running"}
    second = [moment for moment in history(log) if any((h.number, h.attempt) == (0, 2) for h in moment)]
    assert {len(moment) for moment in second} == {1}
    assert dict(home.iterations()) == {(n, i): 1 + (n == 0 and i < 3) for n in range(4) for i in range(1, 7)}


@pytest.fixture
def starved_cluster():
    """A node whose memory Ray takes for exhausted: it kills each worker that it finds. Its address."""
    from ray.cluster_utils import Cluster

    limits = {"memory_usage_threshold": 0.001, "memory_monitor_refresh_ms": 100}
    head = {"num_cpus": 2, "include_dashboard": False, "_system_config": limits}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    yield cluster.address
    cluster.shutdown()


def test_a_worker_that_ray_kills_for_memory_ends_its_trial_and_not_the_sweep(
    tmp_path, mlflow_uri, starved_cluster
):
    """The killed one need not be the greedy one: it is tried once more with nothing beside it."""
    home = Home(tmp_path, mlflow_uri, budget={"trials": 2}, **RUNGS)
    home.drive_apart(starved_cluster, step_s=5.0)
    assert home.service.sweep(home.sweep_id).state is SweepState.FAILED
    assert [t.state for t in home.trials] == [TrialState.INFEASIBLE] * 2
    killed = "out_of_host_memory: Ray killed the worker since its node ran low on memory: "
    for trial in home.trials:
        assert trial.reason.count(killed) == 2
        assert " (with nothing else running; before: " in trial.reason
