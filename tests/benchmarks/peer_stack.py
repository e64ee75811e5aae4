"""What one would write without masksweep: Ray Tune, OptunaSearch, ASHA and MLflow around DefaultTrainer.

It is the yardstick of the benchmarks, so it is written with care: one thread a worker, no loader processes,
no checkpoints, writers or timers that nobody reads, one evaluation a rung. Only the narrow backbone and the
mask head with a stride are masksweep's, since Detectron2 lacks them.

    python -m tests.benchmarks.peer_stack DATA_DIR HOME --trials 4 --iterations 60 --rungs 20 40 60

prints what `run_peer` returns as JSON. DATA_DIR is what `masksweep dataset synth` writes.
"""

from __future__ import annotations  # what travels by value leaves behind names that only annotations use

import argparse
import json
import os
import sys
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # a local cluster that lives as long as the benchmark
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

METRIC = "segm/AP"

# Knob of masksweep to the config key that it sets: the part of the tiny preset's space that is plain config.
KEYS: Mapping[str, str] = {
    "mask_head.upsample_stride": "MODEL.ROI_MASK_HEAD.UPSAMPLE_STRIDE",
    "mask_head.conv_dim": "MODEL.ROI_MASK_HEAD.CONV_DIM",
    "solver.base_lr": "SOLVER.BASE_LR",
    "solver.weight_decay": "SOLVER.WEIGHT_DECAY",
    "augment.flip": "INPUT.RANDOM_FLIP",
}


def default_space() -> dict[str, Any]:
    """The search space of the comparison, by knob; the spec of the other side names the same."""
    from ray import tune

    return {
        "mask_head.upsample_stride": tune.choice([1, 2, 4]),
        "mask_head.conv_dim": tune.choice([32, 64, 128]),
        "solver.base_lr": tune.loguniform(0.0003, 0.003),
        "solver.weight_decay": tune.loguniform(0.001, 0.1),
        "augment.flip": tune.choice(["none", "horizontal"]),
    }


def trial_config(cfg_yaml: str, params: Mapping[str, Any], iterations: int, seed: int, classes: int) -> Any:
    """The frozen Detectron2 config of one trial."""
    import yaml
    from detectron2.config import CfgNode

    from runners.detectron import backbone, heads  # noqa: F401  # they register themselves
    from runners.detectron.config import masksweep_cfg

    cfg = masksweep_cfg()
    cfg.merge_from_other_cfg(CfgNode(yaml.safe_load(cfg_yaml)))
    cfg.MODEL.ROI_MASK_HEAD.NAME = "StridedMaskHead"
    for name, value in params.items():
        cfg.merge_from_list([KEYS[name], value])
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = classes
    cfg.INPUT.MASK_FORMAT = "bitmask"  # the data has RLE
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = ("peer_train",), ("peer_val",)
    cfg.DATALOADER.NUM_WORKERS = 0  # the trial has one CPU
    cfg.SOLVER.MAX_ITER = iterations
    cfg.SOLVER.STEPS = tuple(step for step in cfg.SOLVER.STEPS if step < iterations)
    cfg.SOLVER.WARMUP_ITERS = min(cfg.SOLVER.WARMUP_ITERS, iterations // 10)
    cfg.SEED = seed
    cfg.OUTPUT_DIR = "output"
    cfg.freeze()
    return cfg


def register(data_dir: str) -> int:
    """Registers the data in this process, once, and returns the number of its categories."""
    from detectron2.data import DatasetCatalog
    from detectron2.data.datasets import register_coco_instances

    data = Path(data_dir)
    for split in ("train", "val"):
        if f"peer_{split}" not in DatasetCatalog:
            register_coco_instances(f"peer_{split}", {}, str(data / f"{split}.json"), str(data / "images"))
    return len(json.loads((data / "val.json").read_text())["categories"])


def make_trainer(cfg: Any, rungs: Sequence[int], report: Any) -> Any:
    """DefaultTrainer with AdamW where the config asks for it, and an evaluation at each rung.

    Args:
        cfg: A frozen config.
        rungs: Iterations after which to evaluate.
        report: Called with a flat dict of metrics and `iteration`.
    """
    import torch
    from detectron2.engine import DefaultTrainer, hooks
    from detectron2.engine.train_loop import HookBase
    from detectron2.evaluation import COCOEvaluator
    from detectron2.solver.build import get_default_optimizer_params

    class Trainer(DefaultTrainer):  # type: ignore[misc]  # detectron2 is untyped
        @classmethod
        def build_optimizer(cls, cfg: Any, model: Any) -> Any:
            if cfg.SOLVER.OPTIMIZER != "AdamW":
                return super().build_optimizer(cfg, model)
            groups = get_default_optimizer_params(
                model, base_lr=cfg.SOLVER.BASE_LR, weight_decay_norm=cfg.SOLVER.WEIGHT_DECAY_NORM
            )
            return torch.optim.AdamW(groups, lr=cfg.SOLVER.BASE_LR, weight_decay=cfg.SOLVER.WEIGHT_DECAY)

        @classmethod
        def build_evaluator(cls, cfg: Any, dataset_name: str) -> Any:
            return COCOEvaluator(dataset_name, tasks=("bbox", "segm"), distributed=False)

        def build_hooks(self) -> list[Any]:
            return [hooks.LRScheduler(), Rungs()]

    class Rungs(HookBase):  # type: ignore[misc]  # detectron2 is untyped
        def after_step(self) -> None:
            done = self.trainer.iter + 1
            if done in rungs:
                result = Trainer.test(cfg, self.trainer.model)
                report(
                    {"iteration": done}
                    | {
                        f"{task}/{name}": value
                        for task, found in result.items()
                        for name, value in found.items()
                    }
                )

    return Trainer(cfg)


def run_peer(
    data_dir: Path,
    home: Path,
    *,
    cfg_yaml: str,
    trials: int,
    iterations: int,
    rungs: Sequence[int],
    max_concurrent: int,
    seed: int,
    prune: bool,
    reuse_actors: bool = False,
    space: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Runs a whole search, from starting Ray to the last result.

    Args:
        data_dir: `train.json`, `val.json` and `images/`.
        home: Made if missing; takes Tune's directory and MLflow's SQLite file.
        cfg_yaml: The model's Detectron2 config as YAML text, without data and fidelity.
        trials: How many.
        iterations: Of a trial that is not stopped.
        rungs: Iterations after which to evaluate; the last one is `iterations`.
        max_concurrent: Trials at a time, one CPU each.
        seed: Of the sampler; a trial's own is drawn from its parameters.
        prune: Whether ASHA stops trials, with the first rung as its grace period.
        reuse_actors: Tune's setting; its default is off.
        space: Tune's search space by knob; KEYS says which there are. The default is `default_space()`.

    Returns:
        `wall_s` (all of it), `fit_s` (without starting Ray) and `trials`: for each `params`, `iterations` and
        `metrics` of the last report, in Tune's order.
    """
    began = time.perf_counter()
    import ray
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    ray.init(address="local", num_cpus=max_concurrent, include_dashboard=False, log_to_driver=False)
    send_by_value()
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    data = str(data_dir.resolve())
    metric = {"metric": METRIC, "mode": "max"}
    scheduler = (
        ASHAScheduler(
            time_attr="iteration", max_t=iterations, grace_period=rungs[0], reduction_factor=3, **metric
        )
        if prune
        else None
    )

    def train(params: dict[str, Any]) -> None:
        import torch

        torch.set_num_threads(1)
        trial_seed = zlib.crc32(repr(sorted(params.items())).encode()) >> 1
        cfg = trial_config(cfg_yaml, params, iterations, trial_seed, register(data))
        make_trainer(cfg, rungs, tune.report).train()

    tuner = tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space=dict(default_space() if space is None else space),
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(seed=seed, **metric),
            scheduler=scheduler,
            num_samples=trials,
            max_concurrent_trials=max_concurrent,
            reuse_actors=reuse_actors,
        ),
        run_config=tune.RunConfig(
            name="peer",
            storage_path=str(home / "tune"),
            callbacks=[
                MLflowLoggerCallback(tracking_uri=f"sqlite:///{home}/mlflow.db", experiment_name="peer")
            ],
            verbose=0,
        ),
    )
    fit_began = time.perf_counter()
    try:
        results = tuner.fit()
        ended = time.perf_counter()
    finally:
        ray.shutdown()
    if results.num_errors:
        raise RuntimeError(f"{results.num_errors} of {trials} trials failed: {results.errors[0]}")
    return {
        "wall_s": ended - began,
        "fit_s": ended - fit_began,
        "trials": [
            {
                "params": result.config,
                "iterations": result.metrics["iteration"],
                "metrics": {
                    key: value for key, value in result.metrics.items() if key.startswith(("segm/", "bbox/"))
                },
            }
            for result in results
        ],
    }


def send_by_value() -> None:
    """Workers can't import this file from where it lies: its functions travel with the trainable."""
    from ray import cloudpickle

    if __name__ != "__main__":
        cloudpickle.register_pickle_by_value(sys.modules[__name__])


def main() -> None:
    """Reads the command line, runs the search on the tiny preset, prints JSON."""
    parser = argparse.ArgumentParser(
        description="Stock Ray Tune around DefaultTrainer, on the tiny preset's model"
    )
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("home", type=Path)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--rungs", type=int, nargs="+", default=[20, 40, 60])
    parser.add_argument("--max-concurrent", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prune", action="store_true")
    parser.add_argument("--reuse-actors", action="store_true")
    args = vars(parser.parse_args())
    from runners.detectron.config import base_config
    from sweeps.core.spec import BaseSpec

    cfg_yaml = base_config(BaseSpec(preset="mask_rcnn_tiny", weights="none")).dump()
    print(json.dumps(run_peer(cfg_yaml=cfg_yaml, **args), indent=2, default=float))


if __name__ == "__main__":
    main()
