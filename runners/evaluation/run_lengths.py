"""Whether compressed run lengths are what they claim to be, for thousands of masks at once."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 1 << 17  # characters: what is computed on them stays in a processor's cache
_MOST_CHARACTERS = 6  # of a number: 30 bits, runs of up to 536 million pixels


def broken_run_lengths(counts: Sequence[bytes | str], pixels: NDArray[np.int64]) -> Iterator[tuple[int, str]]:
    """The masks whose run lengths do not make up their image, each with what is wrong with it.

    hotcoco counts such masks silently, and pycocotools hangs on some. The code is that of `rleFrString` in
    pycocotools' maskApi.c: 5 bits a character, the sixth says that more follow; from the fourth number on,
    differences from the number two places before.

    Args:
        counts: N compressed run lengths.
        pixels: (N,) of each mask's image.
    """
    # Half characters, which JSON can hold and UTF-8 cannot, become bytes above 127: malformed as any such.
    raw = [one if isinstance(one, bytes) else one.encode("utf-8", "surrogatepass") for one in counts]
    lengths = np.fromiter(map(len, raw), np.int64, len(raw))
    yield from ((index, "got RLE counts that are empty") for index in np.flatnonzero(lengths == 0).tolist())
    kept = np.flatnonzero(lengths)
    if not kept.size:
        return
    ends = np.cumsum(lengths[kept])
    cuts = np.searchsorted(ends, np.arange(_AT_ONCE, ends[-1], _AT_ONCE)).tolist()
    for begin, end in pairwise(sorted({0, *cuts, len(kept)})):
        part = kept[begin:end]
        sums, malformed = _decoded(b"".join(raw[index] for index in part.tolist()), lengths[part])
        for place in np.flatnonzero(malformed | (sums != pixels[part])).tolist():
            index = int(part[place])
            if malformed[place]:
                yield index, "got RLE counts that are not run lengths"
            else:
                yield index, f"got RLE counts for {sums[place]} of {pixels[index]} pixels"


def _decoded(text: bytes, lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For each code in `text`, the sum of its runs, and whether it is malformed.

    Args:
        text: All codes, one after another.
        lengths: (N,) of each in characters, at least 1.
    """
    bits = np.frombuffer(text, np.uint8) - np.uint8(48)  # what is below 48 wraps around to above 207
    code_starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    code_ends = code_starts + lengths - 1
    malformed = np.maximum.reduceat(bits, code_starts) > 63
    last = (bits & 32) == 0  # of a number
    malformed |= ~last[code_ends]
    last[code_ends] = True  # so that no number runs into the next code
    ends = np.flatnonzero(last)
    first = np.searchsorted(ends, code_starts)  # number of each code
    sizes = np.diff(ends, prepend=-1)
    malformed |= np.maximum.reduceat(sizes, first) > _MOST_CHARACTERS
    # most numbers have one character: five bits, the fifth is the sign
    numbers = ((bits[ends] & 31 ^ 16).astype(np.int32)) - 16
    longer = np.flatnonzero(sizes > 1)
    numbers[longer] = _long_numbers(bits, ends[longer], np.minimum(sizes[longer], _MOST_CHARACTERS))
    runs = _undifferenced(numbers, first)
    malformed |= np.minimum.reduceat(runs, first) < 0
    return np.add.reduceat(runs, first, dtype=np.int64), malformed


def _long_numbers(
    bits: NDArray[np.uint8], ends: NDArray[np.int64], sizes: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Numbers of several characters, of which the last ones are at `ends`."""
    starts = ends - sizes + 1
    numbers = np.zeros(len(ends), np.int32)
    for place in range(_MOST_CHARACTERS):
        reached = np.flatnonzero(sizes > place)
        numbers[reached] |= (bits[starts[reached] + place] & 31).astype(np.int32) << (5 * place)
    numbers -= np.where(bits[ends] & 16, np.int32(1) << (5 * sizes).astype(np.int32), 0).astype(np.int32)
    return numbers


def _undifferenced(numbers: NDArray[np.int32], first: NDArray[np.int64]) -> NDArray[np.int32]:
    """Run lengths from differences.

    From its fourth number on a code holds differences from the number two places before: its odd places are
    running sums from place 1 on, its even ones from place 2 on. One running sum over every second number
    serves all codes, less what it was where a code began.

    Args:
        numbers: (M,) of all codes.
        first: (N,) where each code begins, ascending, 0 first.
    """
    count = len(numbers)
    pairs = np.zeros((count // 2 + 1, 2), np.int32)
    pairs.reshape(-1)[:count] = numbers
    sums = np.cumsum(pairs, axis=0, dtype=np.int32).reshape(-1)
    odd_places = np.where(first > 0, sums[first - 1], 0)
    even_places = sums[first]
    starts_odd = first % 2 == 1
    per_code = np.diff(np.append(first, count))
    before = np.repeat(np.where(starts_odd, odd_places, even_places), per_code)  # for even indices
    before[1::2] = np.repeat(np.where(starts_odd, even_places, odd_places), per_code)[1::2]
    runs: NDArray[np.int32] = sums[:count] - before
    runs[first] = numbers[first]
    return runs
