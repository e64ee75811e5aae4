"""What a suggestion costs with a thousand trials behind it, against Optuna's own on the same trials."""

import random
import statistics
import time

import optuna

from sweeps.core.states import TrialState
from sweeps.samplers.sampler import OptunaSampler
from sweeps.samplers.seeds import trial_seed
from sweeps.testing import make_spec

TRIALS, ASKED = 1000, 10
SPACE = {
    "solver.base_lr": {"low": 0.0001, "high": 0.1, "log": True},
    "solver.weight_decay": {"low": 0.00001, "high": 0.01, "log": True},
    "augment.brightness": {"low": 0.0, "high": 0.5},
    "augment.contrast": {"low": 0.0, "high": 0.5},
    "augment.saturation": {"low": 0.0, "high": 0.5},
    "augment.flip": {"choices": ["none", "horizontal"]},
    "mask_head.num_conv": {"low": 1, "high": 8},
    "mask_head.conv_dim": {"choices": [32, 64, 128, 256]},
}


def test_a_suggestion_costs_a_fifth_of_optunas_at_most():
    """TPE with eight parameters, in turn with Optuna's sampler, which is asked for the same trial."""
    spec = make_spec(space=SPACE, sampler={"type": "tpe", "seed": 1}, pruner={"type": "none"})
    sampler, rng = OptunaSampler(spec, 1), random.Random(1)
    study = optuna.create_study(directions=["maximize"])
    ours, theirs = [], []
    for number in range(TRIALS + ASKED):
        if number >= TRIALS:
            study.sampler = optuna.samplers.TPESampler(seed=trial_seed(1, number))
            began = time.perf_counter()
            study.ask(dict(study.trials[0].distributions))
            theirs.append(time.perf_counter() - began)
            study.tell(number, state=optuna.trial.TrialState.FAIL)
        began = time.perf_counter()
        found = sampler.suggest(number)
        ours.append(time.perf_counter() - began)
        metrics = {"segm/AP": rng.random()}
        sampler.observe(number, 300, metrics)
        sampler.finish(number, TrialState.COMPLETED, metrics)
        if number < TRIALS:
            study.add_trial(sampler.study.trials[number])
        assert found is not None
    mine_s, peer_s = statistics.median(ours[TRIALS:]), statistics.median(theirs)
    print(
        f"\na TPE suggestion at {TRIALS} trials: {1000 * mine_s:.1f} ms, Optuna's {1000 * peer_s:.1f} ms; "
        f"ratio {mine_s / peer_s:.3f} (at most 0.2)"
    )
    assert mine_s <= 0.2 * peer_s
