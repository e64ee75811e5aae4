"""What mattered in a sweep: how much each knob has to do with a trial's being among the best.

PED-ANOVA (Watanabe et al., https://arxiv.org/abs/2304.10255) in its conditional form
(https://arxiv.org/abs/2601.20800), by Optuna. It compares how a knob is distributed among the best trials
with how it is among all, and takes knobs that hang on others as they are: unlike fANOVA it needs neither a
model of the objective nor that every trial has every knob. What it says of few trials is partly luck, so that
beside each figure stands how often it comes out as high when the values are dealt to the trials at random.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import optuna
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.storages import InMemoryStorage
from optuna.trial import create_trial

from sweeps.core.errors import UserError
from sweeps.core.replicates import searched
from sweeps.samplers.distributions import distribution_of

if TYPE_CHECKING:
    from optuna.study import Study

    from sweeps.core.spec import Objective, SweepSpec
    from sweeps.core.trial import Measurement
    from sweeps.records import SweepRecord, TrialRecord
    from sweeps.service import SweepService

optuna.logging.set_verbosity(optuna.logging.ERROR)

MIN_TRIALS = 10
"""Trials below which nothing is said: half of them would be the best five."""

_MIN_BEST, _BEST_SHARE = 5, 0.1  # what PED-ANOVA compares with the rest; its paper asks for five
_DEALS, _FEWER_DEALS = 99, 39  # a figure that no random deal reaches has a chance of 1%
_MANY_TRIALS = 300  # from here on luck matters less, and a deal takes longer
_SEED = 0


@dataclass(frozen=True, slots=True)
class KnobImportance:
    """What one knob has to do with an objective.

    Attributes:
        name: The knob.
        importance: 0 to 1; those of an objective's knobs sum to 1.
        by_chance: 0.01 to 1: how often values dealt at random give the knob as much.
        active: 0 to 1: the share of the trials that have the knob; below 1 if it hangs on another.
    """

    name: str
    importance: float
    by_chance: float
    active: float


@dataclass(frozen=True, slots=True)
class Importance:
    """What mattered for one objective.

    Attributes:
        metric: The objective.
        goal: `maximize` or `minimize`.
        iteration: The rung at which the trials are compared; 0 if none was measured.
        trials: Trials measured there.
        best: How many of them are the best that are held against all.
        knobs: The knobs that vary, most important first; empty if there is a problem.
        problem: Why there is nothing to tell, or None.
    """

    metric: str
    goal: str
    iteration: int
    trials: int
    best: int
    knobs: tuple[KnobImportance, ...]
    problem: str | None = None


def importances(
    spec: SweepSpec,
    trials: Sequence[TrialRecord],
    measurements: Sequence[Measurement],
    iteration: int | None = None,
) -> tuple[Importance, ...]:
    """What mattered, for each objective; the same rows give the same figures.

    Args:
        spec: The sweep's.
        trials: Its trials; replicates are left out, as they were chosen to be good.
        measurements: What was measured of them. Only values of one rung are compared with each other.
        iteration: The rung; None: for each objective the last that at least MIN_TRIALS and half of the
            measured trials came to, else the one that most came to.
    """
    params = {trial.number: trial.params for trial in searched(trials)}
    return tuple(_importance(spec, each, params, measurements, iteration) for each in spec.objectives)


def importances_of(
    service: SweepService, sweep_id: str, iteration: int | None = None
) -> tuple[SweepRecord, tuple[Importance, ...]]:
    """A sweep of the store, and what mattered in it.

    Raises:
        UserError: `iteration` is no rung of the sweep.
    """
    sweep = service.sweep(sweep_id)
    rungs = sweep.spec.fidelity.rungs
    if iteration is not None and iteration not in rungs:
        raise UserError(
            f"trials of sweep {sweep.sweep_id} are not evaluated at {iteration} iterations",
            f"--iterations takes one of {', '.join(map(str, rungs))}",
        )
    trials, measurements = service.trials(sweep.sweep_id), service.measurements(sweep.sweep_id)
    return sweep, importances(sweep.spec, trials, measurements, iteration)


def importance_document(found: Sequence[Importance]) -> list[dict[str, Any]]:
    """The same as JSON."""
    return [
        {
            "metric": each.metric,
            "goal": each.goal,
            "iterations": each.iteration,
            "trials": each.trials,
            "best_trials": each.best,
            "knobs": [
                {
                    "knob": knob.name,
                    "importance": round(knob.importance, 4),
                    "by_chance": round(knob.by_chance, 2),
                    "active": round(knob.active, 4),
                }
                for knob in each.knobs
            ],
            "problem": each.problem,
        }
        for each in found
    ]


def importance_from(document: Mapping[str, Any]) -> Importance:
    """One objective's of what `importance_document` gave."""
    knobs = (
        KnobImportance(knob["knob"], knob["importance"], knob["by_chance"], knob["active"])
        for knob in document["knobs"]
    )
    return Importance(
        metric=document["metric"],
        goal=document["goal"],
        iteration=document["iterations"],
        trials=document["trials"],
        best=document["best_trials"],
        knobs=tuple(knobs),
        problem=document["problem"],
    )


def _importance(
    spec: SweepSpec,
    objective: Objective,
    params: Mapping[int, Mapping[str, Any]],
    measurements: Sequence[Measurement],
    iteration: int | None,
) -> Importance:
    metric, goal = objective.metric, objective.goal
    values: dict[int, dict[int, float]] = {rung: {} for rung in spec.fidelity.rungs}
    for each in measurements:
        value = each.metrics.get(metric, math.nan)
        if each.iteration in values and each.number in params and math.isfinite(value):
            values[each.iteration][each.number] = value if goal == "minimize" else -value
    rung = _rung(values) if iteration is None else iteration
    losses = values.get(rung, {})
    knobs = [p for p in spec.space.parameters if not distribution_of(p).single()]
    best = _best(losses)
    problem = _problem(losses, best, len(knobs))
    if problem:
        return Importance(metric, goal, rung if losses else 0, len(losses), 0, (), problem)
    study = _study(spec, params, losses)
    names = [p.name for p in knobs if any(p.name in params[number] for number in losses)]
    raw = _ped_anova(study, names, list(losses.values()))
    reached = dict.fromkeys(names, 1)
    dealt, chance = list(losses.values()), random.Random(_SEED)
    deals = _DEALS if len(losses) < _MANY_TRIALS else _FEWER_DEALS
    for _ in range(deals):
        chance.shuffle(dealt)
        for name, by_luck in _ped_anova(study, names, dealt).items():
            reached[name] += by_luck >= raw[name]
    total = sum(raw.values())
    rows = [
        KnobImportance(
            name,
            raw[name] / total if total else 0.0,
            reached[name] / (1 + deals),
            sum(name in params[number] for number in losses) / len(losses),
        )
        for name in names
    ]
    rows.sort(key=lambda row: -row.importance)
    return Importance(metric, goal, rung, len(losses), best, tuple(rows))


def _rung(values: Mapping[int, Mapping[int, float]]) -> int:
    most = max(len(measured) for measured in values.values())
    enough = [rung for rung, measured in values.items() if len(measured) >= max(MIN_TRIALS, most / 2)]
    return enough[-1] if enough else max(values, key=lambda rung: len(values[rung]))


def _best(losses: Mapping[int, float]) -> int:
    """How many trials are the best: one in ten, at least five, and all as good as the last of them."""
    if not losses:
        return 0
    place = min(len(losses), max(_MIN_BEST, math.ceil(_BEST_SHARE * len(losses))))
    last = sorted(losses.values())[place - 1]
    return sum(loss <= last for loss in losses.values())


def _problem(losses: Mapping[int, float], best: int, knobs: int) -> str | None:
    if knobs == 0:
        return "the space has no knob that varies"
    if len(losses) < MIN_TRIALS:
        plural = "s" if len(losses) != 1 else ""
        return f"{len(losses)} measured trial{plural}, but importance needs at least {MIN_TRIALS}"
    if best == len(losses):
        return f"the {len(losses)} measured trials are too alike to tell better ones from worse"
    return None


def _study(spec: SweepSpec, params: Mapping[int, Mapping[str, Any]], losses: Mapping[int, float]) -> Study:
    """The trials that were measured, numbered from 0 in the order of `losses`."""
    distributions = {p.name: distribution_of(p) for p in spec.space.parameters}
    study = optuna.create_study(storage=InMemoryStorage(), direction="minimize")
    study.add_trials(
        [
            create_trial(
                value=loss,
                params=dict(params[number]),
                distributions={name: distributions[name] for name in params[number]},
            )
            for number, loss in losses.items()
        ]
    )
    return study


def _ped_anova(study: Study, names: Sequence[str], losses: Sequence[float]) -> dict[str, float]:
    """Importances of the knobs, not normalised, if the study's trials had these losses in turn."""
    share = max(_BEST_SHARE, _MIN_BEST / len(losses))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of targets that are minimised, as these are, and of rare branches
        evaluator = PedAnovaImportanceEvaluator(target_quantile=share)
        return evaluator.evaluate(study, list(names), target=lambda trial: losses[trial.number])
