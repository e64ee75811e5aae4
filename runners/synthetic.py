"""The embedded data set: small machine parts on a conveyor belt, in COCO format, by numpy and Pillow."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

CATEGORIES = ("gear", "bracket", "washer")

Pixels: TypeAlias = npt.NDArray[np.float32]  # (H, W, 3), 0 to 255
Mask: TypeAlias = npt.NDArray[np.bool_]  # (H, W)
Outline: TypeAlias = npt.NDArray[np.float64]  # (n, 2), x and y in pixels

_FINE = 3  # parts are drawn on a grid this many times finer, then averaged
_MIN_VISIBLE_PX = 24
_MIN_VISIBLE = 0.4  # of a part, once everything that lies on top of it is there
_CROWD_EVERY = 16  # one in so many training images holds a heap of washers, annotated as one crowd region
_MEDIUM_SHARE = 0.22  # of the parts; the others are small in COCO's sense, under 32 x 32 px
_TINTS = {"gear": (205, 180, 120), "bracket": (150, 175, 205), "washer": (195, 190, 185)}


@dataclass(frozen=True, slots=True)
class _Part:
    """A part as it lies on the belt.

    Attributes:
        category: One of CATEGORIES.
        center: x and y in pixels.
        radius: Of the circle around it, in pixels.
        outline: Its outer edge.
        hole: The edge of its hole, or None.
    """

    category: str
    center: tuple[float, float]
    radius: float
    outline: Outline
    hole: Outline | None = None

    def inside(self, size: int) -> bool:
        """Whether it lies wholly on an image of that side."""
        return bool(self.outline.min() >= 0 and self.outline.max() <= size)


def write_dataset(
    directory: Path, *, train: int = 240, val: int = 60, size: int = 128, seed: int = 0
) -> None:
    """Writes `images/`, `train.json`, `val.json` and `spec.yaml`, a sweep over them that is ready to run.

    The same arguments write the same bytes. Masks are what is visible: a part on top takes pixels from those
    below. A part that nothing covers is annotated as a polygon, one that is covered or has a hole as RLE.

    Args:
        directory: Made if missing; files of the same names are overwritten.
        train: Training images, at least 1.
        val: Validation images, at least 1.
        size: Side of the square images in pixels, at least 64; parts keep their size in pixels.
        seed: Any non-negative integer.

    Raises:
        ValueError: An argument is out of range.
        OSError: The directory cannot be written.
    """
    if min(train, val) < 1 or size < 64 or seed < 0:
        raise ValueError(
            "train >= 1, val >= 1, size >= 64 and seed >= 0 must hold,"
            f" but got (train={train}, val={val}, size={size}, seed={seed})"
        )
    (directory / "images").mkdir(parents=True, exist_ok=True)
    for split, count in (("train", train), ("val", val)):
        document = _write_split(directory / "images", split, count, size, seed)
        (directory / f"{split}.json").write_text(json.dumps(document), encoding="utf-8")
    (directory / "spec.yaml").write_text(_SPEC, encoding="utf-8")


def _write_split(images: Path, split: str, count: int, size: int, seed: int) -> dict[str, Any]:
    records: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(count):
        # seeded by image, so that a longer set begins with the shorter one
        rng = np.random.default_rng([seed, 0 if split == "train" else 1, number])
        crowd = split == "train" and number % _CROWD_EVERY == _CROWD_EVERY // 2
        pixels, found = _scene(rng, size, crowd)
        name = f"{split}_{number:05d}.png"
        Image.fromarray(pixels).save(images / name, compress_level=1)
        records.append({"id": number + 1, "file_name": name, "width": size, "height": size})
        for item in found:
            annotations.append({"id": len(annotations) + 1, "image_id": number + 1, **item})
    return {
        "info": {"description": f"masksweep synthetic parts, {split}, seed {seed}", "version": "1"},
        "licenses": [],
        "images": records,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in enumerate(CATEGORIES, 1)],
    }


def _scene(
    rng: np.random.Generator, size: int, crowd: bool
) -> tuple[npt.NDArray[np.uint8], list[dict[str, Any]]]:
    """Draws one image and describes it: (size, size, 3) pixels, and annotations without ids."""
    heap = _heap(rng, size) if crowd else []
    parts = _visible(_place(rng, size), size)
    canvas = _belt(rng, size).repeat(_FINE, axis=0).repeat(_FINE, axis=1)
    for part in heap + parts:
        _paint(rng, canvas, part)
    pixels = _block_sums(canvas) / _FINE**2 + rng.normal(0, rng.uniform(4, 9), (size, size, 3))

    owner = _owners(heap + parts, size)
    annotations = []
    for index, part in enumerate(parts, len(heap)):
        mine = _block_sums(owner == index)
        whole = part.hole is None and part.inside(size) and mine.sum() == _stencil(part, size)[1].sum()
        annotations.append(_annotation(part.category, _majority(mine), part.outline if whole else None))
    pile = _majority(_block_sums((owner >= 0) & (owner < len(heap))))
    if pile.sum() >= _MIN_VISIBLE_PX:
        annotations.append(_annotation("washer", pile, None) | {"iscrowd": 1})
    return pixels.clip(0, 255).astype(np.uint8), annotations


def _place(rng: np.random.Generator, size: int) -> list[_Part]:
    """Lays parts down one after the other, later ones on top; half are pushed against earlier ones."""
    parts: list[_Part] = []
    for _ in range(int(rng.integers(3, 8) * (size / 128) ** 2 + 0.5)):
        category = CATEGORIES[int(rng.integers(len(CATEGORIES)))]
        medium = rng.random() < _MEDIUM_SHARE
        radius = float(rng.uniform(21, 29) if medium else rng.uniform(9.5, 16.5))
        for _ in range(20):
            if parts and rng.random() < 0.5:
                other = parts[int(rng.integers(len(parts)))]
                reach, angle = rng.uniform(0.75, 1.0) * (radius + other.radius), rng.uniform(0, 2 * np.pi)
                x = other.center[0] + reach * np.cos(angle)
                y = other.center[1] + reach * np.sin(angle)
            else:
                x, y = rng.uniform(0.6 * radius, size - 0.6 * radius, 2)
            apart = [np.hypot(x - one.center[0], y - one.center[1]) / (radius + one.radius) for one in parts]
            if (
                0.5 * radius <= min(x, y)
                and max(x, y) <= size - 0.5 * radius
                and min(apart, default=1) >= 0.65
            ):
                parts.append(_SHAPES[category](rng, (float(x), float(y)), radius))
                break
    return parts


def _heap(rng: np.random.Generator, size: int) -> list[_Part]:
    """A dozen or so tiny washers on top of each other, too many to tell apart."""
    center = rng.uniform(0.2 * size, 0.8 * size, 2)
    places = center + rng.normal(0, 6, (int(rng.integers(10, 18)), 2))
    return [_washer(rng, (float(x), float(y)), float(rng.uniform(3, 4.5))) for x, y in places]


def _visible(parts: list[_Part], size: int) -> list[_Part]:
    """The parts of which enough is to be seen. Taking others away uncovers those that stay."""
    owner = _owners(parts, size)
    kept = []
    for index, part in enumerate(parts):
        mine = _block_sums(owner == index)
        enough = mine.sum() >= _MIN_VISIBLE * _stencil(part, size)[1].sum()
        if enough and _majority(mine).sum() >= _MIN_VISIBLE_PX:
            kept.append(part)
    return kept


def _owners(parts: list[_Part], size: int) -> npt.NDArray[np.int16]:
    """On the fine grid, the index of the topmost part, or -1 for the belt."""
    owner = np.full((size * _FINE, size * _FINE), -1, dtype=np.int16)
    for index, part in enumerate(parts):
        window, mask = _stencil(part, size)
        owner[window][mask] = index
    return owner


def _block_sums(fine: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Sums over the fine cells of each pixel."""
    values = fine.view(np.uint8) if fine.dtype == bool else fine
    rows: npt.NDArray[Any] = sum((values[step::_FINE] for step in range(1, _FINE)), start=values[::_FINE])
    return sum((rows[:, step::_FINE] for step in range(1, _FINE)), start=rows[:, ::_FINE])


def _majority(counts: npt.NDArray[Any]) -> Mask:
    """The pixels at least half of whose fine cells are counted."""
    return np.asarray(counts * 2 >= _FINE**2, dtype=bool)


# ------------------------------------------------------------------------------------------------ shapes


def _ring(radii: npt.ArrayLike, angles: npt.ArrayLike, center: tuple[float, float]) -> Outline:
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.asarray(np.asarray(radii)[..., None] * around + center, dtype=np.float64)


def _gear(rng: np.random.Generator, center: tuple[float, float], radius: float) -> _Part:
    teeth = int(rng.integers(6, 10))
    root = radius * rng.uniform(0.64, 0.74)
    # root, rise, top, fall of each tooth, as shares of its angle
    steps = (np.arange(teeth)[:, None] + np.array([0.0, 0.42, 0.52, 0.90])).reshape(-1) / teeth
    angles = 2 * np.pi * steps + rng.uniform(0, 2 * np.pi)
    radii = np.tile([root, root, radius, radius], teeth)
    return _Part("gear", center, radius, _ring(radii, angles, center))


def _bracket(rng: np.random.Generator, center: tuple[float, float], radius: float) -> _Part:
    thick = rng.uniform(0.62, 0.78)
    if rng.random() < 0.5:  # an angle
        corners = [(-1, -1), (1, -1), (1, thick - 1), (thick - 1, thick - 1), (thick - 1, 1), (-1, 1)]
    else:  # a channel
        inner = 1 - thick
        corners = [
            (-1, -1),
            (1, -1),
            (1, 1),
            (inner, 1),
            (inner, thick - 1),
            (-inner, thick - 1),
            (-inner, 1),
            (-1, 1),
        ]
    shape = np.array(corners, dtype=float) * (radius * 0.85) * np.array([1.0, rng.uniform(0.8, 1.1)])
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return _Part("bracket", center, radius, shape @ turn + np.array(center))


def _washer(rng: np.random.Generator, center: tuple[float, float], radius: float) -> _Part:
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    radius = radius * 0.9
    hole = radius * rng.uniform(0.4, 0.52)
    return _Part("washer", center, radius, _ring(radius, angles, center), _ring(hole, angles, center))


_SHAPES: dict[str, Callable[[np.random.Generator, tuple[float, float], float], _Part]] = {
    "gear": _gear,
    "bracket": _bracket,
    "washer": _washer,
}


def _stencil(part: _Part, size: int) -> tuple[tuple[slice, slice], Mask]:
    """The part on the fine grid of an image: a window of the grid and the mask in that window."""
    fine = size * _FINE
    low = np.clip(np.floor(part.outline.min(axis=0) * _FINE).astype(int), 0, fine)
    high = np.clip(np.ceil(part.outline.max(axis=0) * _FINE).astype(int), 0, fine)
    (x0, y0), (x1, y1) = low.tolist(), high.tolist()
    stencil = Image.new("L", (max(x1 - x0, 1), max(y1 - y0, 1)))
    draw = ImageDraw.Draw(stencil)
    for edge, ink in ((part.outline, 1), (part.hole, 0)):
        if edge is not None:
            # Pillow's integer coordinates are pixel centres
            draw.polygon([(x, y) for x, y in (edge * _FINE - (x0 + 0.5, y0 + 0.5)).tolist()], fill=ink)
    return (slice(y0, y1), slice(x0, x1)), np.asarray(stencil, dtype=bool)[: y1 - y0, : x1 - x0]


# ------------------------------------------------------------------------------------------------ colours


def _belt(rng: np.random.Generator, size: int) -> Pixels:
    """A dark rubber belt: ribs along its way, stains and scratches."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    ribs = np.sin(2 * np.pi * (y / rng.uniform(5, 11) + rng.random())) * rng.uniform(2, 7)
    weave = np.sin(2 * np.pi * (x + y) / 3.0) * rng.uniform(0, 3)
    grey = rng.uniform(45, 85) + ribs + weave + _cloud(rng, size, 5) * 14 + _cloud(rng, size, 24) * 8
    scratches = Image.new("L", (size, size))
    draw = ImageDraw.Draw(scratches)
    for _ in range(int(rng.integers(2, 8))):
        (x0, y0), (dx, dy) = rng.uniform(0, size, 2), rng.normal(0, [30, 4])
        draw.line([(x0, y0), (x0 + dx, y0 + dy)], fill=int(rng.integers(10, 40)))
    grey = grey + np.asarray(scratches, dtype=np.float32)
    return np.asarray(grey[..., None] * rng.uniform(0.92, 1.08, 3), dtype=np.float32)


def _cloud(rng: np.random.Generator, side: int, cells: int) -> npt.NDArray[np.float32]:
    """Smooth noise of standard deviation near 1, with about `cells` blobs a side."""
    coarse = Image.fromarray(rng.normal(0, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)


def _paint(rng: np.random.Generator, canvas: Pixels, part: _Part) -> None:
    """Draws a part and its shadow onto the fine canvas."""
    fine = len(canvas)
    window, mask = _stencil(part, fine // _FINE)
    drop = int(rng.integers(2, 6))
    shadow_rows = slice(min(window[0].start + drop, fine), min(window[0].stop + drop, fine))
    shadow_columns = slice(min(window[1].start + drop, fine), min(window[1].stop + drop, fine))
    below = canvas[shadow_rows, shadow_columns]
    below *= np.where(mask, np.float32(0.6), np.float32(1))[: below.shape[0], : below.shape[1], None]

    height, width = mask.shape
    tint = np.array(_TINTS[part.category]) + rng.normal(0, 14, 3)
    if rng.random() < 0.2:  # rust or paint: colour alone must not tell the class
        tint = rng.uniform(90, 220, 3)
    side = max(height, width)
    y, x = np.mgrid[:height, :width].astype(np.float32) / side - 0.5
    light = 1 - 0.35 * (x + y) * rng.uniform(0.5, 1.2) + 0.05 * _cloud(rng, side, 6)[:height, :width]
    padded = np.pad(mask, 3)
    inner = padded[6:, 3:-3] & padded[:-6, 3:-3] & padded[3:-3, 6:] & padded[3:-3, :-6]
    light = light * np.where(inner, np.float32(1), np.float32(0.78)) * rng.uniform(0.75, 1.1)
    np.copyto(canvas[window], light[:, :, None] * tint.astype(np.float32), where=mask[:, :, None])


# ------------------------------------------------------------------------------------------------ annotations


def _annotation(category: str, mask: Mask, outline: Outline | None) -> dict[str, Any]:
    """A COCO annotation without ids: a polygon if all of it is to be seen, else its pixels as RLE."""
    common = {"category_id": CATEGORIES.index(category) + 1, "iscrowd": 0}
    if outline is not None:
        corners = outline.round(2)
        x, y = corners.T
        area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
        box = [x.min(), y.min(), x.max() - x.min(), y.max() - y.min()]
        segmentation: object = [corners.reshape(-1).tolist()]
        return common | {
            "area": round(float(area), 2),
            "bbox": [round(float(side), 2) for side in box],
            "segmentation": segmentation,
        }
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x0, y0 = int(columns[0]), int(rows[0])
    return common | {
        "area": int(mask.sum()),
        "bbox": [x0, y0, int(columns[-1]) + 1 - x0, int(rows[-1]) + 1 - y0],
        "segmentation": {"size": list(mask.shape), "counts": run_lengths(mask)},
    }


def run_lengths(mask: Mask) -> list[int]:
    """COCO's uncompressed RLE: lengths of runs in column order, the first one of zeros and perhaps 0 long."""
    flat = np.concatenate([[False], mask.reshape(-1, order="F")])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    lengths: list[int] = np.diff(np.concatenate([[0], changes, [mask.size]])).tolist()
    return lengths


_SPEC = """\
# A sweep over the parts in this directory, ready to run: masksweep run spec.yaml
version: 1
name: synthetic-parts

dataset: # COCO JSON and the folder that its file names start from; paths are relative to this file
  train: {annotations: train.json, images: images}
  val: {annotations: val.json, images: images}

base: {preset: mask_rcnn_tiny} # a Mask R-CNN that learns on a CPU in a minute

inference: # chosen inside each trial, from one pass over the validation images
  mask_threshold: [0.3, 0.4, 0.5, 0.6, 0.7]
  nms_threshold: [0.3, 0.5, 0.7]
  score_threshold: [0.05, 0.3, 0.5, 0.7]

budget: {trials: 12} # the default is 20

# Everything else has a default; the preset brings a search space of its own. For example:
#
# objectives: [{metric: segm/AP, goal: maximize}]
# space:
#   mask_head.upsample_stride: {choices: [1, 2, 4]}
#   solver.base_lr: {low: 0.001, high: 0.008, log: true}
# pruner: {type: successive_halving, reduction_factor: 3}
"""
