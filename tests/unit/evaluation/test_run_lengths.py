"""Run lengths checked in bulk: what the check of a single mask says, for all at once."""

import numpy as np
import pytest

from runners.annotations.segmentations import WITHOUT_PIXELS, segmentation_problem
from runners.evaluation.run_lengths import broken_run_lengths
from tests.evaluation_data import HEIGHT, WIDTH, blob, rle_of


def broken(rng: np.random.Generator, counts: bytes) -> bytes:
    """The code as it is, cut, with a foreign character, or with more behind it."""
    code = bytearray(counts)
    kind = rng.integers(5)
    if kind == 0:
        return bytes(code[: rng.integers(1, len(code))])
    if kind == 1:
        code[rng.integers(len(code))] = rng.integers(30, 125)
    elif kind == 2:
        code += bytes(rng.integers(48, 112, rng.integers(1, 12)).tolist())
    return bytes(code)


@pytest.mark.parametrize("seed", range(20))
def test_many_masks_are_judged_as_each_alone(seed):
    """The same masks are found broken, with the same words, whatever lies before and behind them."""
    rng = np.random.default_rng(seed)
    masks = [rle_of(blob(rng)) for _ in range(30)]
    masks = [{**mask, "counts": broken(rng, mask["counts"])} for mask in masks]
    expected = {}
    for index, mask in enumerate(masks):
        single = {"size": list(mask["size"]), "counts": mask["counts"].decode()}
        problem = segmentation_problem(single, HEIGHT, WIDTH)
        if problem not in (None, WITHOUT_PIXELS):
            expected[index] = problem
    assert expected
    assert dict(broken_run_lengths(masks)) == expected


def test_an_empty_mask_is_none_that_is_broken():
    """No pixel at all is a mask; no code at all is none."""
    empty = rle_of(np.zeros((HEIGHT, WIDTH), bool))
    assert list(broken_run_lengths([empty])) == []
    assert list(broken_run_lengths([empty, {**empty, "counts": ""}])) == [
        (1, "got RLE counts that are empty")
    ]
    assert list(broken_run_lengths([])) == []
