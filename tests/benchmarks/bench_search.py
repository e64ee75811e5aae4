"""How much training a search needs on the analytic objective: against stock Ray Tune, and without pruning.

Both sides decide on a virtual clock (`simulation.py`), where an iteration takes a worker one second. The
values that count are the objective's own, without noise, of trials that trained to the end.
"""

import os
import statistics
from itertools import pairwise
from pathlib import Path

import yaml

from runners.curves.objective import Objective
from runners.plugin import DetectronRunner
from sweeps.bootstrap import open_service
from sweeps.core.spec import parse_spec
from sweeps.launchers.runner import DriveOrder
from sweeps.settings import Settings
from tests.benchmarks.simulation import Masksweep, Stock, simulate

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "curves.yaml"
SEEDS = range(int(os.environ.get("BENCH_SEEDS", "20")))
WORKERS = 16
BEST, CLOSE = 60.0, 0.99  # of segm/AP in every landscape
CAP_S = 300_000.0  # trial-seconds after which a search is given up
SPENT = 90_000  # iterations without pruning: a hundred full trainings
DEAREST_MS, WORST = 25 * 2.7182818**1.2, 30.0  # the corner that hypervolumes are measured from


def example(seed, **sections):
    """The example's spec with a landscape and a sampler seed of its own."""
    document = yaml.safe_load(EXAMPLE.read_text()) | {"budget": {"trials": 5000}, "sampler": {"seed": seed}}
    document["base"] = {"synthetic": "curves", "landscape": seed}
    return parse_spec(yaml.safe_dump(document | sections), EXAMPLE.parent)


def true_values(objective, params, *metrics):
    """What a configuration has at full training."""
    return tuple(objective.landscape.values(metrics, params).values())


def trial_seconds(side, spec):
    """What 16 workers spend until a full training comes within 1% of the optimum; infinite beyond the cap."""
    objective, last = Objective.of(spec), spec.fidelity.iterations
    reached = False

    def until(run):
        nonlocal reached
        found = run.findings[-1]
        (value,) = true_values(objective, found.params, "segm/AP")
        reached = found.iteration == last and value >= CLOSE * BEST
        return reached or found.at * WORKERS >= CAP_S

    simulate(side, objective, spec.fidelity.rungs, WORKERS, until=until)
    return side.clock.now * WORKERS if reached else float("inf")


def test_the_optimum_takes_half_the_training_of_stock_tune(tmp_path):
    """Median trial-seconds to within 1% of the optimum over seeds, each with a landscape of its own."""
    ours, theirs = [], []
    print()
    for seed in SEEDS:
        spec = example(seed)
        ours.append(trial_seconds(Masksweep(spec, tmp_path / str(seed), WORKERS), spec))
        theirs.append(trial_seconds(Stock(spec, seed, trials=5000), spec))
        print(f"  seed {seed}: masksweep {ours[-1]:,.0f} trial-seconds, stock {theirs[-1]:,.0f}", flush=True)
    mine, stock = statistics.median(ours), statistics.median(theirs)
    print(f"trial-seconds to within 1% of the optimum, median of {len(SEEDS)} seeds: masksweep {mine:,.0f},")
    print(f"  stock Tune with OptunaSearch and ASHA {stock:,.0f}: ratio {mine / stock:.3f} (at most 0.5)")
    assert mine / stock <= 0.5


def hypervolume(points):
    """The area that trials dominate, as (segm/AP, ms), from the worst corner."""
    inside = sorted((ms, ap) for ap, ms in points if ms < DEAREST_MS and ap > WORST)
    front, best = [], WORST
    for ms, ap in inside:
        if ap > best:
            front.append((ms, ap))
            best = ap
    edges = [*front, (DEAREST_MS, best)]
    return sum((after[0] - ms) * (ap - WORST) for (ms, ap), after in pairwise(edges))


def front_of(side, spec, iterations):
    """The hypervolume of what is trained to the end with that many iterations."""
    objective, last = Objective.of(spec), spec.fidelity.iterations
    rungs, metrics = spec.fidelity.rungs, ("segm/AP", "latency/ms_per_image")
    run = simulate(side, objective, rungs, WORKERS, spend=iterations)
    whole = [found.params for found in run.findings if found.iteration == last]
    return hypervolume(true_values(objective, params, *metrics) for params in whole)


def test_pruning_two_objectives_gives_the_same_front_for_half_the_training(tmp_path):
    """Hypervolume over AP and latency: with pruning at half the iterations, without, and stock without.

    OptunaSearch prunes nothing where there are two objectives, and ASHA would judge by one of them.
    """
    both = [{"metric": "segm/AP"}, {"metric": "latency/ms_per_image"}]
    ratios, against_stock = [], []
    print()
    for seed in SEEDS:
        pruned = example(seed, objectives=both)
        whole = example(seed, objectives=both, pruner={"type": "none"})
        mine = front_of(Masksweep(pruned, tmp_path / f"p{seed}", WORKERS), pruned, SPENT // 2)
        unpruned = front_of(Masksweep(whole, tmp_path / f"w{seed}", WORKERS), whole, SPENT)
        stock = front_of(Stock(pruned, seed, trials=5000, asha=False), pruned, SPENT)
        ratios.append(mine / unpruned)
        against_stock.append(mine / stock)
        print(f"  seed {seed}: {mine:.0f} pruned, {unpruned:.0f} whole, {stock:.0f} stock", flush=True)
    ratio, other = statistics.median(ratios), statistics.median(against_stock)
    print(f"hypervolume with pruning after {SPENT // 2:,} iterations, median of {len(SEEDS)} seeds:")
    print(f"  {ratio:.3f} of that without pruning after {SPENT:,}, {other:.3f} of stock's (1, within 1%)")
    assert ratio >= CLOSE
    assert other >= CLOSE


def test_the_simulation_is_what_a_real_sweep_does(tmp_path):
    """With one worker nothing depends on speed: Ray and the driver do what the simulation did."""
    trials = 30
    spec = example(3, budget={"trials": trials}, resources={"max_concurrent": 1})
    simulated = Masksweep(spec, tmp_path / "simulated", 1)
    run = simulate(simulated, Objective.of(spec), spec.fidelity.rungs, 1)
    settings = Settings.load(tmp_path / "real", environ={})
    service = open_service(settings, create=True)
    sweep_id = service.create(spec, fingerprint="0" * 64, now=0.0).sweep_id
    DetectronRunner().drive(DriveOrder(service, settings, sweep_id, None, lambda _: None, print))
    real = [(m.number, m.iteration, m.metrics) for m in service.measurements(sweep_id)]
    assert sorted((f.trial, f.iteration, f.metrics) for f in run.findings) == real
    print(f"\na real sweep of {trials} trials measured what the simulation did, {len(real)} times")
