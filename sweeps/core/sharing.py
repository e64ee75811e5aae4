"""Which sweeps have the pool: by priority, and among equals by weight.

Fair queueing with virtual time (Demers, Keshav and Shenker, 1989; stride scheduling, Waldspurger 1995): a
sweep's virtual time is what it has used, divided by its weight, and the pool goes to whom it is least. What
runs keeps its place until it is one quantum ahead, since taking a driver's place costs a start.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

QUANTUM_S = 900.0
"""Of a pool's seconds, that a sweep of weight 1 may be ahead before another one gets its place."""

_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sweep that runs, or would run.

    Attributes:
        sweep_id: The sweep.
        priority: A higher one comes first, whatever was used.
        weight: Over 0.
        virtual_s: What it has used, divided by its weight, counted from where it joined.
        demand: The share of the pool that it holds while it runs, over 0 to 1.
        alive: Whether it holds it now.
        leaves: Whether it was asked to give it up.
        since: When it was submitted; the earlier goes first among equals.
    """

    sweep_id: str
    priority: int
    weight: float
    virtual_s: float
    demand: float
    alive: bool
    since: float
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Who shall have the pool.

    Attributes:
        run: All that shall; of these, some may have to wait until others have left.
        start: Those that can be started now.
        leave: Those that hold it and shall not, each with the sweep that it makes room for.
    """

    run: frozenset[str]
    start: tuple[str, ...]
    leave: dict[str, str]


def arrange(candidates: Sequence[Candidate], *, quantum_s: float = QUANTUM_S) -> Arrangement:
    """Who shall have the pool now.

    Whoever comes first and fits is taken. One that does not fit lets smaller ones pass; they grow older by
    that, so that its turn comes.

    Args:
        candidates: Those that run or are ready to.
        quantum_s: Seconds of the whole pool that a sweep of weight 1 may be ahead of the next.
    """
    ordered = sorted(candidates, key=lambda one: _turn(one, quantum_s))
    run, left = list[Candidate](), 1.0
    for one in ordered:
        if one.demand <= left + _EPSILON:
            run.append(one)
            left -= one.demand
    names = frozenset(one.sweep_id for one in run)
    free = 1.0 - sum(one.demand for one in candidates if one.alive)
    start = list[str]()
    for one in run:
        if one.alive:
            continue
        if one.demand > free + _EPSILON:
            break  # what is freed is for this one
        start.append(one.sweep_id)
        free -= one.demand
    waiting = [one.sweep_id for one in run if not one.alive and one.sweep_id not in start]
    # Who is asked to leave has been replaced; without anybody who waits for the room, it may stay.
    leave = {
        one.sweep_id: waiting[0]
        for one in candidates
        if one.alive and not one.leaves and one.sweep_id not in names and waiting
    }
    return Arrangement(names, tuple(start), leave)


def level(there: Collection[float], away: Collection[float]) -> float:
    """The virtual time at which a sweep joins those of its priority: that of the least of them.

    Else a new sweep would have the pool for as long as all before it have had. While none of them is there,
    it is where they had come to, so that nobody who comes back later is ahead of who came since.

    Args:
        there: Virtual times of those that run or wait for their turn,
        away: and of those that somebody has paused.
    """
    return min(there) if there else max(away, default=0.0)


def rejoin(own: float, at: float) -> float:
    """The virtual time of a sweep that comes back after a pause, where those who stayed are at `at`.

    What it has had more than others it still owes them; what they have had in the meantime they do not.
    """
    return max(own, at)


def _turn(one: Candidate, quantum_s: float) -> tuple[int, float, float, str]:
    """What decides whose turn it is, least first."""
    ahead = quantum_s / one.weight if one.alive and not one.leaves else 0.0
    return -one.priority, one.virtual_s - ahead, one.since, one.sweep_id
