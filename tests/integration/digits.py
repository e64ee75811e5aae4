"""A COCO set of another make than the embedded one: real handwritten digits on pages of different sizes."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

CATEGORY_IDS = {0: 7, 1: 21, 2: 90}  # neither contiguous nor from 1


def write_digits(directory: Path, *, train: int, val: int) -> None:
    """Writes train.json, val.json and a folder of JPEGs in subfolders; masks are RLE, one crowd a page."""
    digits = load_digits()
    chosen = [
        image for image, label in zip(digits.images, digits.target, strict=True) if label in CATEGORY_IDS
    ]
    labels = [label for label in digits.target if label in CATEGORY_IDS]
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        pages = [_page(rng, chosen, labels, split, number) for number in range(count)]
        for image, pixels, _ in pages:
            path = directory / "pages" / image["file_name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path, quality=95)
        annotations = [annotation for _, _, found in pages for annotation in found]
        for number, annotation in enumerate(annotations):
            annotation["id"] = 1000 + number
        document = {
            "images": [image for image, _, _ in pages],
            "annotations": annotations,
            "categories": [{"id": i, "name": f"digit {label}"} for label, i in CATEGORY_IDS.items()],
        }
        (directory / f"{split}.json").write_text(json.dumps(document))


def _page(rng, chosen, labels, split, number):
    height, width = int(rng.integers(90, 140)), int(rng.integers(120, 200))
    pixels = np.full((height, width, 3), 235, np.uint8)
    image = {"id": 5000 + number, "file_name": f"{split}/{number}.jpg", "height": height, "width": width}
    annotations = []
    for slot in range(4):
        pick = int(rng.integers(len(chosen)))
        glyph = np.kron(chosen[pick], np.ones((3, 3))) > 6
        top, left = int(rng.integers(height - 24)), slot * 30
        mask = np.zeros((height, width), bool)
        mask[top : top + 24, left : left + 24] = glyph
        pixels[mask] = rng.integers(0, 90, 3)
        rows, columns = np.nonzero(mask)
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        annotations.append(
            {
                "image_id": image["id"],
                "category_id": CATEGORY_IDS[int(labels[pick])],
                "iscrowd": int(slot == 3 and number % 4 == 0),
                "bbox": [float(v) for v in box],
                "area": float(mask.sum()),
                "segmentation": {"size": [height, width], "counts": _counts(mask)},
            }
        )
    return image, pixels, annotations


def _counts(mask):
    """Uncompressed COCO run lengths: column by column, beginning with background."""
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    return [0, *runs] if flat[0] else runs
