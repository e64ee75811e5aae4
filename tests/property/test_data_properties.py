"""What must hold for any stream, mask and polygon."""

from itertools import islice

import numpy as np
import pycocotools.mask as rle
from detectron2.structures import polygons_to_bitmask
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from runners.annotations.segmentations import decompress, segmentation_problem
from runners.detectron.augmentation.targets import clip_polygon
from runners.detectron.stream import index_batches
from runners.synthetic import run_lengths

masks = arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40)))


@settings(max_examples=60, deadline=None)
@given(
    wide=st.lists(st.booleans(), min_size=1, max_size=20),
    batch_size=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
    start=st.integers(0, 30),
)
def test_a_stream_can_be_entered_anywhere(wide: list[bool], batch_size: int, seed: int, start: int) -> None:
    """Batch k is the same whether the stream starts at 0 or at k, and no group is starved or mixed."""
    straight = list(islice(index_batches(wide, batch_size, seed=seed), start + 5))
    assert list(islice(index_batches(wide, batch_size, seed=seed, start=start), 5)) == straight[start:]
    assert all(len(indices) == batch_size for _, indices in straight)
    assert all(len({wide[index] for index in indices}) == 1 for _, indices in straight)


@settings(max_examples=100, deadline=None)
@given(mask=masks)
def test_our_run_lengths_are_those_of_coco(mask: np.ndarray) -> None:
    """What the synthetic set writes decodes to the mask, and compressed text expands to the same numbers."""
    height, width = mask.shape
    runs = run_lengths(mask)
    code = {"size": [height, width], "counts": runs}
    assert (rle.decode(rle.frPyObjects(code, height, width)) == mask).all()
    packed = rle.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()
    assert decompress(packed) == runs
    problem = None if mask.any() else "got an RLE that covers no pixel"
    assert segmentation_problem(code, height, width) == problem
    assert segmentation_problem({**code, "counts": packed}, height, width) == problem


@settings(max_examples=200, deadline=None)
@given(
    segmentation=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=8) | st.fixed_dictionaries({}, optional={"size": inner, "counts": inner})
        ),
        max_leaves=12,
    )
)
def test_no_segmentation_breaks_the_check(segmentation: object) -> None:
    """Whatever JSON holds, the answer is a sentence or None."""
    problem = segmentation_problem(segmentation, 5, 5)
    assert problem is None or problem.startswith("got ")


@settings(max_examples=150, deadline=None)
@given(
    points=st.lists(st.tuples(st.integers(-30, 70), st.integers(-30, 70)), min_size=3, max_size=9),
    height=st.integers(5, 40),
    width=st.integers(5, 40),
)
def test_clipping_keeps_what_is_inside(points: list[tuple[int, int]], height: int, width: int) -> None:
    """A clipped polygon stays within the image and covers there what the whole one covers."""
    polygon = np.array(points, dtype=float)
    clipped = clip_polygon(polygon, (height, width))
    assert clipped.shape[1:] == (2,)
    if len(clipped):
        assert clipped.min() >= 0
        assert (clipped.max(axis=0) <= (width, height)).all()
    margin = 40
    whole = polygons_to_bitmask([(polygon + margin).reshape(-1)], height + 2 * margin, width + 2 * margin)
    expected = whole[margin : margin + height, margin : margin + width]
    got = polygons_to_bitmask([clipped.reshape(-1)] if len(clipped) else [], height, width)
    assert not ((got != expected) & ~_near_outline(polygon, height, width)).any()


def _near_outline(polygon: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pixels whose centre is within 1.5 px of the outline, where rounding may decide either way."""
    y, x = np.mgrid[:height, :width] + 0.5
    near = np.zeros((height, width), dtype=bool)
    for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        length = max((bx - ax) ** 2 + (by - ay) ** 2, 1e-9)
        along = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length, 0, 1)
        near |= np.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay)) < 1.5
    return near
