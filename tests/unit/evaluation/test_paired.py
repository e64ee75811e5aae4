"""The gate between a candidate and a champion: how often luck passes it, and how often what is better."""

import numpy as np
import pytest
from scipy import stats

from runners.evaluation.bootstrap import CategoryMatches
from runners.evaluation.paired import ApRun, MeanRun, difference

THRESHOLDS = np.linspace(0.5, 0.95, 10)
NIGHTS = 200
CANDIDATES = 12
RATE = 0.05
SMALL = {"images": 60, "thresholds": np.array([0.7]), "objects": 4}
"""Enough for a rate; two hundred nights of it take seconds."""
A_POINT = 0.0055
"""Of IoU: what makes AP one point better in this world; `test_a_planted_point_is_a_point` measures it."""


class World:
    """Validation images with objects that are as hard for every model; what is a model's own is luck.

    The luck has a part for each image, as images that a model finds odd have, so that objects of an image are
    not independent: a gate that drew objects instead of images would be too sure.
    """

    def __init__(self, seed, images, thresholds=THRESHOLDS, objects=6):
        self.rng, self.images, self.thresholds = np.random.default_rng(seed), images, thresholds
        self.truths = self.rng.poisson(objects, images)
        self.owners = np.repeat(np.arange(images), self.truths)
        self.hard = self.rng.normal(0.72, 0.1, images)[self.owners]
        self.hard += self.rng.normal(0, 0.1, len(self.owners))
        self.sure = self.hard + self.rng.normal(0, 0.08, len(self.owners))
        self.wrong = self.rng.random(len(self.owners))

    def model(self, better=0.0, luck=0.01):
        """The run of a model whose masks overlap by `better` more, on average, than the others'."""
        odd = self.rng.normal(0, luck, self.images)[self.owners]
        iou = self.hard + better + odd + self.rng.normal(0, luck, len(self.owners))
        sure = self.sure + odd + self.rng.normal(0, luck, len(self.owners))
        # beside each third object there is something that most models take for one
        takes = self.wrong + self.rng.normal(0, luck, len(self.owners)) > 0.7
        images = np.concatenate([self.owners, self.owners[takes]])
        scores = np.concatenate([sure, sure[takes] - 0.2])
        hits = np.zeros((len(self.thresholds), len(images)), bool)
        hits[:, : len(iou)] = iou >= self.thresholds[:, None]
        order = np.argsort(-scores, kind="mergesort")
        hits = hits[:, order]
        return ApRun([CategoryMatches(images[order], hits, ~hits, self.truths)])


def ap(run, images):
    return float(run.at(np.ones((1, images), np.int64))[0])


def promoted(world, models, champion, chosen_among):
    """Whether the best of the models passes the gate."""
    best = max(models, key=lambda run: ap(run, world.images))
    found = difference([best], [champion], confidence=1 - RATE, chosen_among=chosen_among)
    return found.low > 0


def most(nights):
    """What a gate with the stated rate passes at most, but for one test in a hundred."""
    return stats.binom.isf(0.01, nights, RATE)


def test_luck_is_promoted_at_most_at_the_stated_rate():
    """A/A: twelve models as good as the champion, the best of them is judged, 200 nights.

    Without allowing for the choice among twelve, far more of them would pass: the test would see it.
    """
    passed = naive = 0
    for night in range(NIGHTS):
        world = World(night, **SMALL)
        models, champion = [world.model() for _ in range(CANDIDATES)], world.model()
        passed += promoted(world, models, champion, CANDIDATES)
        if night % 4 == 0:
            naive += promoted(world, models, champion, 1)
    assert passed <= most(NIGHTS)
    assert naive > most(NIGHTS // 4)


def test_one_candidate_alone_is_promoted_about_at_the_stated_rate():
    """The gate is not merely deaf: luck passes it nearly as often as is allowed."""
    passed = 0
    for night in range(NIGHTS):
        world = World(1000 + night, **SMALL)
        passed += promoted(world, [world.model()], world.model(), 1)
    assert stats.binom.isf(0.99, NIGHTS, RATE) <= passed <= most(NIGHTS)


def test_a_planted_point_is_a_point():
    """On very many images the better model has one AP point more."""
    world = World(0, 20_000)
    lead = ap(world.model(A_POINT), world.images) - ap(world.model(), world.images)
    assert lead == pytest.approx(1.0, abs=0.15)


def test_a_point_is_found_on_five_hundred_images():
    """One of twelve candidates is one AP point better, on 500 images: nearly always found."""
    found = 0
    for night in range(10):
        world = World(2000 + night, 500)
        models = [world.model(A_POINT), *(world.model() for _ in range(CANDIDATES - 1))]
        found += promoted(world, models, world.model(), CANDIDATES)
    assert found >= 8


def test_models_that_are_the_same_do_not_differ():
    """Common draws: a model is as good as itself, exactly."""
    world = World(5, 40)
    one = world.model()
    found = difference([one], [one], confidence=0.95)
    assert (found.candidate - found.champion, found.low, found.high) == (0.0, 0.0, 0.0)


def test_images_that_are_hard_for_both_make_nothing_unsure():
    """Paired: what both models find hard cancels out, however much it varies."""
    rng = np.random.default_rng(0)
    hard, luck = rng.normal(50, 20, 100), rng.normal(0, 1, (2, 100))
    found = difference([MeanRun(hard + 1 + luck[0])], [MeanRun(hard + luck[1])], confidence=0.95)
    assert 0 < found.low < found.candidate - found.champion < found.high
    assert found.high - found.low < 1
    # and Student's bound of the paired differences is what it comes to
    paired = 1 + luck[0] - luck[1]
    margin = stats.t.isf(0.05, 99) * paired.std(ddof=1) / 10
    assert found.low == pytest.approx(paired.mean() - margin, abs=0.05 * margin + 1e-9)


def test_runs_that_scatter_make_the_difference_unsure():
    """With replicates the spread between runs counts: three that scatter by five points prove no point."""
    rng = np.random.default_rng(1)
    hard = rng.normal(50, 10, 200)
    steady = difference([MeanRun(hard + 1)] * 3, [MeanRun(hard)] * 3, confidence=0.95)
    scattered = difference([MeanRun(hard + off) for off in (6, 1, -4)], [MeanRun(hard)] * 3, confidence=0.95)
    assert steady.low == pytest.approx(1)
    assert scattered.candidate - scattered.champion == pytest.approx(1)
    assert scattered.low < 0 < scattered.high


def test_luck_of_runs_is_promoted_at_most_at_the_stated_rate():
    """A/A with three runs each: what one seed gives more than another is not taken for a better model."""
    passed = 0
    for night in range(NIGHTS):
        rng = np.random.default_rng(night)
        hard = rng.normal(50, 10, 60)

        def runs(rng=rng, hard=hard):
            return [MeanRun(hard + rng.normal(0, 1) + rng.normal(0, 1, 60)) for _ in range(3)]

        models, champion = [runs() for _ in range(4)], runs()
        best = max(models, key=lambda its: np.mean([run.values.mean() for run in its]))
        passed += difference(best, champion, confidence=1 - RATE, chosen_among=4).low > 0
    assert passed <= most(NIGHTS)


def test_where_one_image_has_all_objects_nothing_is_sure():
    """A lead on a single image is no proof, and what cannot be measured is an error."""
    truths = np.array([3, 0, 0])
    hit = np.ones((1, 3), bool)
    good = ApRun([CategoryMatches(np.zeros(3, np.int64), hit, ~hit, truths)])
    bad = ApRun([CategoryMatches(np.zeros(3, np.int64), ~hit, hit, truths)])
    found = difference([good], [bad], confidence=0.95)
    assert (found.candidate, found.low, found.images) == (pytest.approx(100), -np.inf, 1)
    nothing = ApRun([CategoryMatches(np.zeros(0, np.int64), hit[:, :0], hit[:, :0], truths * 0)])
    with pytest.raises(ValueError, match="not measured"):
        difference([nothing], [nothing], confidence=0.95)
