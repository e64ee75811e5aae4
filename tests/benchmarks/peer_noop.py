"""Trials that do nothing on stock Ray Tune and OptunaSearch: what a trial costs, and what a restart does.

    python -m tests.benchmarks.peer_noop HOME run --trials 1000 --reuse-actors
    python -m tests.benchmarks.peer_noop HOME restore

Each start of a trial appends a line `seconds-since-the-epoch trial-id` to HOME/starts.log. Nothing else is
written that Tune does not write by itself.
"""

import argparse
import os
import random
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # a local cluster that lives as long as the benchmark
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

METRIC = "segm/AP"


def space() -> dict[str, Any]:
    """The search space of the comparison, by knob; the other side has the same."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        "mask_head.upsample_stride": CategoricalDistribution([1, 2, 4]),
        "mask_head.conv_dim": CategoricalDistribution([32, 64, 128]),
        "solver.base_lr": FloatDistribution(0.0003, 0.003, log=True),
        "solver.weight_decay": FloatDistribution(0.001, 0.1, log=True),
        "augment.flip": CategoricalDistribution(["none", "horizontal"]),
    }


def known_points(count: int) -> tuple[list[dict[str, Any]], list[float]]:
    """Trials that ended before, and what they measured."""
    rng = random.Random(0)
    points = [
        {
            "mask_head.upsample_stride": rng.choice([1, 2, 4]),
            "mask_head.conv_dim": rng.choice([32, 64, 128]),
            "solver.base_lr": 0.0003 * 10 ** rng.random(),
            "solver.weight_decay": 0.001 * 100 ** rng.random(),
            "augment.flip": rng.choice(["none", "horizontal"]),
        }
        for _ in range(count)
    ]
    return points, [point["solver.base_lr"] for point in points]


def nothing(params: dict[str, Any]) -> None:
    """A trial."""
    from ray import tune

    tune.report({METRIC: params["solver.base_lr"]})


def tuner(home: Path, *, trials: int, known: int, reuse_actors: bool, workers: int) -> Any:
    """A new experiment."""
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    points, rewards = known_points(known)
    given = {"points_to_evaluate": points, "evaluated_rewards": rewards} if known else {}
    return tune.Tuner(
        trainable(),
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(space(), metric=METRIC, mode="max", seed=0, **given),
            num_samples=trials,
            max_concurrent_trials=workers,
            reuse_actors=reuse_actors,
        ),
        run_config=tune.RunConfig(name="noop", storage_path=str(home), verbose=0, callbacks=[_starts(home)]),
    )


def trainable() -> Any:
    """The function, with what a trial of it takes."""
    from ray import tune

    return tune.with_resources(nothing, {"cpu": 1})


def _starts(home: Path) -> Any:
    from ray import tune

    class Starts(tune.Callback):  # type: ignore[misc,name-defined]
        def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            with (home / "starts.log").open("a") as lines:
                lines.write(f"{time.time()} {trial.trial_id}\n")

    return Starts()


def main() -> None:
    """Reads the command line and runs the experiment to its end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("what", choices=["run", "restore"])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--known", type=int, default=0, help="trials that the searcher knows before")
    parser.add_argument("--reuse-actors", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    home = args.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    import ray
    from ray import cloudpickle, tune

    import tests.benchmarks.peer_noop as here

    cloudpickle.register_pickle_by_value(here)
    ray.init(address="local", num_cpus=args.workers, include_dashboard=False, log_to_driver=False)
    try:
        if args.what == "restore":
            tune.Tuner.restore(str(home / "noop"), here.trainable(), resume_unfinished=True).fit()
        else:
            options = vars(args) | {"home": home}
            del options["what"]
            here.tuner(**options).fit()
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
