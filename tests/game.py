"""A sweep without store and executor, for tests of what chooses and stops trials."""

import json
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import replace

from sweeps.core.details import EvaluationDetails, ImageScores
from sweeps.core.states import TrialState
from sweeps.core.trial import Measurement
from sweeps.records import TrialRecord
from sweeps.samplers.sampler import OptunaSampler
from sweeps.testing import SPACE
from sweeps.warm.plan import WarmPlan, plan_from_documents, summary_document, trials_document

RUNGS = (75, 150, 300)
FLAT = {name: entry for name, entry in SPACE.items() if "when" not in entry}
TWO = [{"metric": "segm/AP"}, {"metric": "latency/ms_per_image", "goal": "minimize"}]
BOUND = [{"metric": "latency/ms_per_image", "max": 60}]


def answer(params: Mapping[str, object], iteration: int) -> dict[str, float]:
    """Metrics that depend smoothly on the parameters, with some noise that does not change."""
    rate, stride = float(params["solver.base_lr"]), int(params.get("mask_head.upsample_stride", 2))
    noise = random.Random(f"{sorted(params.items())}{iteration}").gauss(0, 1)
    ap = 40 - 8 * abs(math.log10(rate) + 2) + stride + noise
    return {
        "segm/AP": ap * (iteration / 300) ** 0.3,
        "latency/ms_per_image": 30.0 + 10 * stride + int(params["mask_head.num_conv"]),
    }


def look(params: Mapping[str, object], iteration: int) -> EvaluationDetails:
    """Scores of 30 images around the trial's AP, each hard or easy for every trial alike."""
    ap = max(0.0, answer(params, iteration)["segm/AP"])
    chance = random.Random(f"{sorted(params.items())}")
    scores = tuple(min(100.0, round(ap + image + chance.gauss(0, 3) + 10, 3)) for image in range(30))
    return EvaluationDetails(images=ImageScores(tuple(range(30)), tuple(max(0.0, s) for s in scores)))


class Game:
    """A sweep without store and executor: rows as the store would give them back, workers taking turns."""

    def __init__(self, spec, workers: int = 3, warm: WarmPlan | None = None) -> None:
        self.warm = warm
        self.spec, self.workers, self.rungs = spec, workers, spec.fidelity.rungs
        self.trials: dict[int, TrialRecord] = {}
        self.measurements: list[Measurement] = []
        self.details: dict[int, dict[int, EvaluationDetails]] = {}
        self.gaps = True  # whether some rungs measure nothing
        self.sampler = OptunaSampler(spec, spec.sampler.seed, warm)

    def restart(self) -> None:
        """A new driver: nothing but the rows is left."""
        warm = self.warm and plan_from_documents(
            json.loads(json.dumps(summary_document(self.warm.summary))),
            json.loads(json.dumps(trials_document(self.warm), allow_nan=False)),
        )
        self.sampler = OptunaSampler(self.spec, self.spec.sampler.seed, warm)
        rows = [
            replace(
                t,
                params=json.loads(json.dumps(t.params)),
                sampler_attrs=json.loads(json.dumps(t.sampler_attrs, allow_nan=False)),
                state=TrialState.QUEUED if t.state is TrialState.RUNNING else t.state,
            )
            for t in self.trials.values()
        ]
        self.sampler.replay(rows, self.measurements)
        self.sampler.recall(lambda number: self.details.get(number, {}))

    def start(self) -> None:
        number = len(self.trials)
        found = self.sampler.suggest(number)
        self.trials[number] = TrialRecord(
            number, TrialState.RUNNING, None, found.params, found.seed, 1, 0, 0, None, 0, 0.0, 0.0, None,
            self.sampler.attrs(number), {},
        )  # fmt: skip

    def report(
        self,
        number: int,
        iteration: int,
        metrics: Mapping[str, float],
        details: EvaluationDetails | None = None,
    ) -> TrialState:
        """One rung's answer, and what became of the trial."""
        kept = {name: value for name, value in metrics.items() if math.isfinite(value)}
        self.measurements.append(Measurement(number, 1, iteration, 0.0, kept))
        if details is not None:
            self.details.setdefault(number, {})[iteration] = details
        why = self.sampler.observe(number, iteration, metrics, details)
        state = TrialState.COMPLETED if iteration == self.rungs[-1] else TrialState.RUNNING
        return self.end(number, TrialState.PRUNED if why else state, kept, iteration, why)

    def end(
        self,
        number: int,
        state: TrialState,
        metrics: Mapping[str, float],
        iteration: int = 0,
        reason: str | None = None,
    ) -> TrialState:
        attrs = self.sampler.attrs(number)
        self.trials[number] = replace(
            self.trials[number],
            state=state,
            metrics=metrics,
            iteration=iteration,
            reason=reason,
            sampler_attrs=attrs,
        )
        if state.terminal:
            self.sampler.finish(number, state, metrics)
        return state

    def play(self, trials: int, restarts: Callable[[int], bool] = lambda _: False) -> list[TrialRecord]:
        """Runs until so many trials were started; a few of them fail, one kind of them always."""
        turn = 0
        while len(self.trials) < trials:
            if restarts(turn):
                self.restart()
            running = [t for t in self.trials.values() if t.state is TrialState.RUNNING]
            if len(running) < self.workers:
                self.start()
            else:
                trial = running[turn % len(running)]
                iteration = min(r for r in self.rungs if r > trial.iteration)
                if trial.params["mask_head.num_conv"] == 8:
                    self.end(trial.number, TrialState.INFEASIBLE, trial.metrics)
                elif trial.number % 11 == 5:
                    self.end(trial.number, TrialState.FAILED, trial.metrics)
                else:
                    metrics = answer(trial.params, iteration)
                    if self.gaps and (trial.number + iteration) % 7 == 3:  # here nothing could be measured
                        metrics["segm/AP"] = math.nan
                    self.report(trial.number, iteration, metrics, look(trial.params, iteration))
            turn += 1
        return list(self.trials.values())


SPECS = {
    "tpe": {},
    "tpe, flat": {"space": FLAT},
    "tpe, Optuna's way": {"sampler": {"type": "tpe", "startup_trials": 5, "learns_from": "ended"}},
    "tpe, bound": {"constraints": BOUND},
    "tpe, each parameter by itself": {"sampler": {"type": "tpe", "startup_trials": 5, "multivariate": False}},
    "tpe, two objectives": {"objectives": TWO, "pruner": {"type": "none"}},
    "tpe, two objectives, pruned": {"objectives": TWO, "constraints": BOUND},
    "tpe, median": {"pruner": {"type": "median"}},
    "random": {"sampler": {"type": "random", "seed": 7}},
    "qmc": {"sampler": {"type": "qmc", "seed": 7}},
    "qmc, halton": {"sampler": {"type": "qmc", "seed": 7, "sequence": "halton", "scramble": False}},
    "grid": {"sampler": {"type": "grid", "seed": 7, "points": 3}},
    "nsga2": {"sampler": {"type": "nsga2", "seed": 7, "startup_trials": 5}},
    "nsga2, two objectives": {
        "sampler": {"type": "nsga2", "seed": 7, "population": 5},
        "objectives": TWO,
        "pruner": {"type": "none"},
    },
    "nsga3, bound": {
        "sampler": {"type": "nsga3", "seed": 7, "population": 5},
        "objectives": TWO,
        "constraints": BOUND,
    },
    "cma_es": {"sampler": {"type": "cma_es", "seed": 7, "startup_trials": 3, "population": 4}},
    "cma_es, bound": {
        "sampler": {"type": "cma_es", "seed": 7, "startup_trials": 3, "population": 4},
        "constraints": BOUND,
        "space": FLAT,
    },
}
