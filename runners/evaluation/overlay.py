"""An image with what a model found drawn over it."""

import colorsys
from collections.abc import Sequence

import numpy as np
from hotcoco import mask as rle
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from runners.evaluation.detections import Detections

_OPACITY = 0.45
_STEP = 0.618034  # of the colour circle: neighbours in the list lie far apart


def overlay(picture: NDArray[np.uint8], found: Detections, names: Sequence[str]) -> Image.Image:
    """Masks, boxes and names, the worst first, so that the best lies on top; a colour each instance.

    Args:
        picture: (H, W, 3) RGB; not changed.
        found: Of this image.
        names: Categories by class.
    """
    canvas = picture.astype(np.float32)
    order = list(reversed(range(len(found.scores))))
    masks = found.masks or ()
    for row in order:
        inside = np.asarray(rle.decode(dict(masks[row])), np.bool_)
        canvas[inside] = (1 - _OPACITY) * canvas[inside] + _OPACITY * np.array(_colour(row), np.float32)
    image = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for row in order:
        x0, y0, x1, y1 = (float(side) for side in found.boxes[row])
        draw.rectangle((x0, y0, x1, y1), outline=_colour(row))
        label = f"{names[int(found.classes[row])]} {float(found.scores[row]):.2f}"
        box = draw.textbbox((x0, y0), label)
        draw.rectangle(box, fill=(0, 0, 0))  # told by its name, not by its colour alone
        draw.text((x0, y0), label, fill=(255, 255, 255))
    return image


def _colour(number: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(number * _STEP % 1.0, 0.85, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)
