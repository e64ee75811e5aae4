import pytest

from runners.cluster import check_pool, plan_pool
from sweeps.core.errors import UserError
from sweeps.core.spec import Resources


def resources(**given):
    return Resources.model_validate(given)


@pytest.mark.parametrize(
    ("asked", "node", "workers", "gpus"),
    [
        ({}, {"CPU": 2.0}, 2, 0.0),
        ({}, {"CPU": 8.0, "GPU": 2.0}, 2, 1.0),
        ({"gpus_per_trial": 0.5}, {"CPU": 8.0, "GPU": 2.0}, 4, 0.5),
        ({"gpus_per_trial": 0.5}, {"CPU": 3.0, "GPU": 2.0}, 3, 0.5),
        ({"gpus_per_trial": 0.5, "max_concurrent": 1}, {"CPU": 8.0, "GPU": 2.0}, 1, 0.5),
        (
            {"gpus_per_trial": 0.4},
            {"CPU": 8.0, "GPU": 2.0},
            4,
            0.4,
        ),  # two on each device, never one across both
        ({"cpus_per_trial": 2}, {"CPU": 5.0}, 2, 0.0),
    ],
)
def test_trials_fill_the_pool_without_spanning_devices(asked, node, workers, gpus):
    """As many trials at a time as CPUs and whole devices allow, and no more than the spec says."""
    pool = plan_pool(resources(**asked), [node], shared=True)
    assert (pool.workers, pool.gpus) == (workers, gpus)


def test_a_machine_of_ones_own_without_a_gpu_trains_on_the_cpu_and_says_so():
    """A local run of a GPU spec is not refused, but never silently slow."""
    pool = plan_pool(resources(gpus_per_trial=0.5), [{"CPU": 2.0}], shared=False)
    assert (pool.workers, pool.gpus) == (2, 0.0)
    assert pool.note == "no GPU here: resources.gpus_per_trial 0.5 is left out, trials run on the CPU"


def test_a_cluster_without_a_gpu_refuses_a_gpu_spec():
    """On a shared cluster nobody wants a sweep that waits for ever, or that trains on CPUs for weeks."""
    with pytest.raises(UserError) as caught:
        plan_pool(resources(gpus_per_trial=1), [{"CPU": 4.0}], shared=True)
    assert str(caught.value) == "a trial needs 1 CPUs and 1 GPUs, but the cluster has 4 and 0"


def test_what_this_machine_cannot_run_is_refused_before_ray_starts():
    """A trial larger than the machine is found by counting, with nothing started."""
    with pytest.raises(UserError) as caught:
        check_pool(resources(cpus_per_trial=1e6), None)
    assert str(caught.value).startswith("a trial needs 1e+06 CPUs and ")
    assert "but this machine has " in str(caught.value)


def test_what_this_machine_can_run_passes():
    """One CPU is everywhere."""
    check_pool(resources(), None)


@pytest.mark.parametrize("name", ["cpus_per_trial", "gpus_per_trial"])
def test_the_least_share_is_rays(name):
    """Ray counts in steps of 0.0001: a trial of the least share fits many times over."""
    pool = plan_pool(resources(**{name: 0.0001}), [{"CPU": 2.0, "GPU": 1.0}], shared=True)
    assert pool.workers >= 1


SMALL, LARGE, HEAD = {"CPU": 4.0, "GPU": 1.0}, {"CPU": 2.0, "GPU": 3.0}, {"CPU": 0.0}


@pytest.mark.parametrize(
    ("asked", "nodes", "workers"),
    [
        ({"gpus_per_trial": 0.5}, [SMALL, LARGE], 4),  # 2 shares on the one, 2 CPUs on the other: not 6
        ({"gpus_per_trial": 0.5, "cpus_per_trial": 0.25}, [SMALL, LARGE, HEAD], 8),
        ({"gpus_per_trial": 0.34, "cpus_per_trial": 0.25}, [SMALL, LARGE], 8),
        ({"gpus_per_trial": 1, "cpus_per_trial": 3}, [SMALL, LARGE], 1),
        ({"cpus_per_trial": 3, "gpus_per_trial": 0}, [SMALL, LARGE], 1),  # 6 CPUs, but not 3 twice
    ],
)
def test_a_cluster_is_counted_node_by_node(asked, nodes, workers):
    """CPUs of one node and GPUs of another make no place for a trial."""
    assert plan_pool(resources(**asked), nodes, shared=True).workers == workers


def test_a_trial_larger_than_each_node_is_refused_though_their_sum_would_do():
    """The refusal shows what each node has."""
    with pytest.raises(UserError) as caught:
        plan_pool(resources(gpus_per_trial=1, cpus_per_trial=5), [SMALL, LARGE], shared=True)
    assert str(caught.value) == (
        "a trial needs 5 CPUs and 1 GPUs, but no node of the cluster has both: they have 4 and 1, 2 and 3"
    )


@pytest.mark.parametrize(
    ("asked", "nodes", "workers", "beside"),
    [
        ({"gpus_per_trial": 0.5, "cpus_per_trial": 0.5}, [{"CPU": 2.0, "GPU": 1.0}], 2, 1),
        ({"gpus_per_trial": 0.25, "cpus_per_trial": 0.5}, [{"CPU": 9.0, "GPU": 2.0}], 8, 5),
        ({"gpus_per_trial": 0.5}, [SMALL, LARGE], 4, 3),  # on the large node, CPUs are what runs out
        ({"gpus_per_trial": 0.5, "max_concurrent": 2}, [{"CPU": 9.0, "GPU": 2.0}], 2, 2),
        ({"gpus_per_trial": 1}, [LARGE], 2, 2),
        ({"gpus_per_trial": 0}, [LARGE], 2, 2),
    ],
)
def test_beside_a_trial_with_a_full_device_there_are_the_other_devices(asked, nodes, workers, beside):
    """The lone trial may get any device; the count is right for the worst of them."""
    pool = plan_pool(resources(**asked), nodes, shared=True)
    assert (pool.workers, pool.beside) == (workers, beside)
