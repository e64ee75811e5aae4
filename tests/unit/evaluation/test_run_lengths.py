"""Run lengths checked in bulk: what the check of a single mask says, for all at once."""

import numpy as np
import pytest

from runners.annotations.segmentations import WITHOUT_PIXELS, segmentation_problem
from runners.evaluation.run_lengths import broken_run_lengths
from tests.evaluation_data import HEIGHT, WIDTH, blob, rle_of


def problems(counts: list) -> dict[int, str]:
    return dict(broken_run_lengths(counts, np.full(len(counts), HEIGHT * WIDTH)))


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
    """The same masks are found broken, whatever lies before and behind them."""
    rng = np.random.default_rng(seed)
    counts = [broken(rng, rle_of(blob(rng))["counts"]) for _ in range(30)]
    alone = [
        segmentation_problem({"size": [HEIGHT, WIDTH], "counts": code.decode()}, HEIGHT, WIDTH)
        for code in counts
    ]
    expected = [index for index, problem in enumerate(alone) if problem not in (None, WITHOUT_PIXELS)]
    assert expected
    assert list(problems(counts)) == expected


def test_the_words_say_what_is_wrong():
    """Pixels that lack or are too many are counted; what is no code is called so."""
    code = rle_of(np.ones((HEIGHT, WIDTH), bool))["counts"]
    assert problems([code, code + code, code[:-1], b"0" * 3 + code, b" "]) == {
        1: "got RLE counts for 54000 of 18000 pixels",
        2: "got RLE counts that are not run lengths",
        4: "got RLE counts that are not run lengths",
    }
    assert problems([code, "\ud800", "é"]) == {
        1: "got RLE counts that are not run lengths",
        2: "got RLE counts that are not run lengths",
    }


def test_an_empty_mask_is_none_that_is_broken():
    """No pixel at all is a mask; no code at all is none."""
    empty = rle_of(np.zeros((HEIGHT, WIDTH), bool))["counts"]
    assert problems([empty]) == {}
    assert problems([empty, "", empty]) == {1: "got RLE counts that are empty"}
    assert problems([]) == {}


def test_masks_by_the_thousand_are_numbered_as_they_come():
    """What is computed in parts has the places of the whole."""
    rng = np.random.default_rng(0)
    counts = [rle_of(blob(rng))["counts"] for _ in range(40)] * 100
    wrong = [0, 1234, 3999]
    for index in wrong:
        counts[index] = counts[index][:-1] + b"o"
    assert sum(map(len, counts)) > 1 << 18
    assert list(problems(counts)) == wrong
