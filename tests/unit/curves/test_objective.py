"""Learning curves, noise and planted trouble."""

import random
import statistics

import pytest

from runners.curves.axes import draw
from runners.curves.objective import Objective, fingerprint
from sweeps.core.trial import FailureKind
from sweeps.testing import make_spec

QUIET = {"noise": 0, "crashes": 0, "nans": 0, "out_of_memory": 0}


def objective(**options):
    """The objective of a spec with these options of its base, and the space that it is over."""
    sections = options.pop("sections", {})
    spec = make_spec(base={"synthetic": "curves", **QUIET, **options}, **sections)
    return Objective.of(spec), spec.space


def drawn(space, count=200, seed=0):
    rng = random.Random(seed)
    return [draw(space, rng) for _ in range(count)]


def ranks(values):
    return [sorted(values).index(value) for value in values]


def test_a_full_training_ends_at_the_landscapes_value():
    """Curves rise without a step back, from nothing to the value that is known."""
    curves, space = objective()
    for params in drawn(space, 50):
        progress = [curves.progress(params, iteration) for iteration in range(0, 301, 10)]
        assert progress == sorted(progress)
        assert progress[0] == 0
        assert progress[-1] == pytest.approx(1)
        final = curves.metrics(params, 1, 300)["segm/AP"]
        assert final == pytest.approx(curves.landscape.values(["segm/AP"], params)["segm/AP"])


def test_curves_cross_and_have_plateaus():
    """Who is ahead early is not always ahead at the end; some learn nothing for a fifth of the training."""
    curves, space = objective()
    sample = drawn(space)
    early = [curves.metrics(params, 0, 75)["segm/AP"] for params in sample]
    late = [curves.metrics(params, 0, 300)["segm/AP"] for params in sample]
    assert 0.3 < statistics.correlation(ranks(early), ranks(late)) < 0.98
    steps = range(60, 200, 15)
    flat = sum(any(curves.progress(p, i) == curves.progress(p, i + 45) > 0 for i in steps) for p in sample)
    assert 0.02 < flat / len(sample) < 0.8


def test_what_is_to_be_minimized_falls():
    """An error begins at 100."""
    sections = {"objectives": [{"metric": "lrp/oLRP", "goal": "minimize"}]}
    curves, space = objective(sections=sections)
    (params,) = drawn(space, 1)
    errors = [curves.metrics(params, 0, iteration)["lrp/oLRP"] for iteration in (1, 75, 150, 300)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 90


def test_noise_is_the_seeds():
    """The same seed measures the same; over seeds the values spread by what was asked for."""
    curves, space = objective(noise=0.5)
    (params,) = drawn(space, 1)
    assert curves.metrics(params, 7, 150) == curves.metrics(params, 7, 150)
    values = [curves.metrics(params, seed, 150)["segm/AP"] for seed in range(400)]
    assert statistics.stdev(values) == pytest.approx(0.5, rel=0.2)


def test_landscapes_differ():
    """Another number is another function, and has another fingerprint."""
    first, _ = objective(landscape=1)
    second, _ = objective(landscape=2)
    assert first.landscape.optimum() != second.landscape.optimum()
    bases = [make_spec(base={"synthetic": "curves", "landscape": n}).base for n in (1, 2)]
    assert len({fingerprint(base) for base in bases}) == 2
    slow = make_spec(base={"synthetic": "curves", "landscape": 1, "step_s": 2}).base
    assert fingerprint(slow) == fingerprint(bases[0])


def test_crashes_are_an_attempts_and_nans_a_configurations():
    """A retry may get through a crash; it diverges, or lacks memory, where the first attempt did."""
    curves, space = objective(crashes=0.3, nans=0.1, out_of_memory=0.1)
    passing = {FailureKind.LOST, FailureKind.ERROR}
    seen = set()
    retried = 0
    for seed, params in enumerate(drawn(space, 400)):
        first, second = curves.trouble(params, seed, 1), curves.trouble(params, seed, 2)
        seen |= {trouble.kind for trouble in (first, second) if trouble}
        if first and first.kind not in passing and (second is None or second.kind not in passing):
            assert first == second
        retried += first is not None and first.kind in passing and second is None
    assert seen == {*passing, FailureKind.DIVERGED, FailureKind.OUT_OF_MEMORY}
    assert retried > 40


def test_images_are_hard_or_easy_for_every_trial():
    """Scores of the same images, paired: the better model wins on most of them."""
    curves, space = objective(noise=0.3)
    best = curves.landscape.optimum()
    worst = min(drawn(space), key=lambda params: curves.landscape.values(["segm/AP"], params)["segm/AP"])
    ours, theirs = curves.images(best, 1, 300), curves.images(worst, 2, 300)
    assert ours.image_ids == theirs.image_ids
    wins = sum(a > b for a, b in zip(ours.scores, theirs.scores, strict=True))
    assert wins > 0.8 * len(ours.scores)
