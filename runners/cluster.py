"""A Ray cluster to run on: our own on this machine, or a running one."""

import gc
import logging
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from runners.addresses import probe
from runners.detached import own_sessions
from sweeps.core.errors import UserError
from sweeps.core.spec import Resources

QUIET_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # what holds no GPU sees none
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # A dead worker is told in a line of the progress, with its cause; Ray's own pages of it are not.
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "A worker died or was killed",
    # The store is the truth: Tune's own snapshots, loggers and signal handling only cost time.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_THRESHOLD_S": "10",
    # Nobody reads what workers print from there: new logs are looked for twice a second, and not ten times.
    "RAY_LOG_MONITOR_MANY_FILES_THRESHOLD": "1",
}


@dataclass(frozen=True, slots=True)
class Pool:
    """What a sweep may use of a cluster.

    Attributes:
        workers: Trials at a time.
        cpus: CPUs that a trial holds.
        gpus: Share of a GPU that a trial holds; 0 trains on the CPU.
        beside: Trials at a time while one of them has a full device; that one counts.
        note: Something a person should know of this choice, or None.
    """

    workers: int
    cpus: float
    gpus: float
    beside: int
    note: str | None = None


@contextmanager
def ray_cluster(address: str | None, starting: AbstractContextManager[None]) -> Iterator[None]:
    """Starts Ray, or joins the cluster at `address`, and leaves it at the end.

    Args:
        address: As `ray.init` takes it, or None for a cluster of our own on this machine.
        starting: Entered around Ray's start.

    Raises:
        UserError: There is no cluster at that address, or not one that can be joined, or Ray does not start.
    """
    _prepare_ray(address)
    import ray  # noqa: PLC0415 - reads the environment as it is imported

    # Ray announces its settings, warns of result files that it was told not to write, and lists at the end
    # the trials that failed. What matters is raised.
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    try:
        try:
            with starting, own_sessions():
                ray.init(
                    address=address or "local",
                    include_dashboard=None if address else False,
                    log_to_driver=False,
                    logging_level="ERROR",
                    configure_logging=False,
                )
        except Exception as error:  # whatever it raises: no such cluster, another version, a token, no time
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            if address is None:
                hint = "a machine that is very busy takes too long for Ray: try again, or run on a cluster"
                raise UserError(f"Ray did not start on this machine: {reason}", hint) from error
            raise UserError(f"the Ray cluster at {address} cannot be joined: {reason}") from error
        yield
    finally:
        _leave(ray.shutdown)


def _leave(shutdown: Callable[[], None]) -> None:
    """Shuts Ray down while no thread collects garbage.

    Ray ends the process, with exit code 1 and without a word, where a reference to one of its objects dies
    between the end of its core and that of its Python side. Threads that go on, as the mirror's, may collect
    garbage then that has such references in it.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        shutdown()
    finally:
        if collects:
            gc.enable()


def check_pool(resources: Resources, address: str | None) -> None:
    """Checks, without starting or joining a cluster, that `ray_cluster` and `plan_pool` can do their work.

    Of a running cluster only its address is checked: what it has is known once it is joined.

    Raises:
        UserError: They cannot.
    """
    _prepare_ray(address)
    if address is not None:
        probe(address)
    elif totals := _own_totals():
        plan_pool(resources, [totals], shared=False)


def own_pool(resources: Resources) -> Pool:
    """What a cluster of our own on this machine would offer, without starting it.

    Raises:
        UserError: Not even one trial fits.
    """
    _quiet_ray()
    totals = _own_totals() or {"CPU": float(os.cpu_count() or 1)}
    return plan_pool(resources, [totals], shared=False)


def _quiet_ray() -> None:
    for name, value in QUIET_RAY.items():
        os.environ.setdefault(name, value)


def _prepare_ray(address: str | None) -> None:
    """What the environment has to say before Ray is imported: to join a cluster, or to start our own."""
    _quiet_ray()
    if address is None:
        _lock_own_ray()


def _lock_own_ray() -> None:
    """Gives a Ray of our own a token: it listens on every interface, and runs whatever it is sent.

    Who has chosen how it is to be keeps that. Ray reads this as it is imported, and once that is done a token
    would lock us out.
    """
    if "ray" not in sys.modules and not any(name.startswith("RAY_AUTH_") for name in os.environ):
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _own_totals() -> dict[str, float] | None:
    """What a Ray of our own would offer, as Ray counts it, or None if this Ray cannot be asked."""
    try:
        from ray._private.resource_and_label_spec import ResourceAndLabelSpec  # noqa: PLC0415 - imports Ray

        counted = ResourceAndLabelSpec().resolve(is_head=True, node_ip_address="127.0.0.1")
        return {"CPU": float(counted.num_cpus), "GPU": float(counted.num_gpus)}
    except Exception:  # not Ray's public interface; starting Ray will tell
        return None


def vital_addresses() -> tuple[str, ...]:
    """`HOST:PORT` of the head's control service and of this node's, once Ray is started.

    Without either nothing goes on. None can be seen behind a `ray://` connection.
    """
    import ray  # noqa: PLC0415 - reads the environment as it is imported

    if ray.util.client.ray.is_connected():
        return ()
    context = ray.get_runtime_context()
    mine = context.get_node_id()
    nodes = (
        f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}"
        for node in ray.nodes()
        if node["NodeID"] == mine
    )
    return (str(context.gcs_address), *nodes)


def plan_pool(resources: Resources, nodes: Sequence[Mapping[str, float]], *, shared: bool) -> Pool:
    """How many trials fit at a time, counted node by node: a trial spans neither nodes nor devices.

    Args:
        resources: What the spec asks for.
        nodes: Of each node, how many `CPU` and `GPU` it has; from `node_resources`.
        shared: Whether the cluster was there before; a GPU that it lacks is then an error, while a sweep
            on one's own machine without any goes on with its CPUs and says so.

    Raises:
        UserError: Not even one trial fits.
    """
    devices = sum(node.get("GPU", 0.0) for node in nodes)
    note = None
    gpus = resources.gpus_per_trial
    if gpus is None:
        gpus = 1.0 if devices else 0.0
    elif gpus and not devices and not shared:
        note = f"no GPU here: resources.gpus_per_trial {gpus:g} is left out, trials run on the CPU"
        gpus = 0.0
    places = [_fits(node, resources.cpus_per_trial, gpus) for node in nodes]
    fits = sum(places)
    if fits < 1:
        needs = f"a trial needs {resources.cpus_per_trial:g} CPUs and {gpus:g} GPUs"
        raise UserError(
            f"{needs}, {_but(nodes, shared=shared)}",
            "lower resources.cpus_per_trial or resources.gpus_per_trial",
        )
    # Which node's device it gets is not known beforehand: the one that is missed most.
    missed = max(place - _beside(node, place, gpus) for node, place in zip(nodes, places, strict=True))
    most = resources.max_concurrent or fits
    return Pool(min(fits, most), resources.cpus_per_trial, gpus, min(fits - missed, most), note)


def _fits(node: Mapping[str, float], cpus: float, gpus: float) -> int:
    """Trials that one node holds at a time."""
    fits = int((node.get("CPU", 0.0) + 1e-6) // cpus)
    if gpus:
        fits = min(fits, int(node.get("GPU", 0.0)) * int((1 + 1e-6) // gpus))
    return fits


def _beside(node: Mapping[str, float], places: int, gpus: float) -> int:
    """Of a node's places, those that are left while one trial has a full device; that one counts."""
    if not gpus:
        return places
    return min(places, max(0, int(node.get("GPU", 0.0)) - 1) * int((1 + 1e-6) // gpus) + 1)


def _but(nodes: Sequence[Mapping[str, float]], *, shared: bool) -> str:
    """What there is instead; of a large cluster, some of it."""
    found = [f"{node.get('CPU', 0.0):g} and {node.get('GPU', 0.0):g}" for node in nodes[:8]]
    if len(nodes) == 1:
        return f"but {'the cluster' if shared else 'this machine'} has {found[0]}"
    return f"but no node of the cluster has both: they have {', '.join(found)}{', ...' if nodes[8:] else ''}"


def node_resources() -> list[dict[str, float]]:
    """What each living node of the cluster that we have joined has in all, used or not."""
    import ray  # noqa: PLC0415 - reads the environment as it is imported

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
