"""Decoding images and keeping them."""

import threading
from pathlib import Path

import numpy as np
import pytest
from detectron2.data.detection_utils import read_image as stock_read_image
from PIL import Image

from runners.detectron.data import ImageCache, read_image


def write_image(path: Path, mode: str, orientation: int | None = None) -> Path:
    rng = np.random.default_rng(0)
    bands = {"L": 1, "RGB": 3, "RGBA": 4, "LA": 2}[mode]
    array = rng.integers(0, 256, (6, 9, bands), dtype=np.uint8)
    image = Image.fromarray(array[:, :, 0] if bands == 1 else array, mode=mode)
    exif = Image.Exif()
    if orientation is not None:
        exif[274] = orientation
    image.save(path, exif=exif)
    return path


@pytest.mark.parametrize("image_format", ["BGR", "RGB", "L"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_reads_what_detectron2_reads(tmp_path: Path, mode: str, image_format: str) -> None:
    """Grey, colour and alpha images come out as Detectron2's read_image gives them."""
    path = write_image(tmp_path / "a.png", mode)
    image = read_image(str(path), image_format)
    assert image.shape == (6, 9, 1 if image_format == "L" else 3)
    assert (image == stock_read_image(str(path), image_format)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_images_as_their_exif_says(tmp_path: Path, orientation: int) -> None:
    """All eight EXIF orientations come out upright, as in Detectron2."""
    path = write_image(tmp_path / "a.jpg", "RGB", orientation)
    image = read_image(str(path), "BGR")
    assert image.shape == ((9, 6, 3) if orientation >= 5 else (6, 9, 3))
    assert (image == stock_read_image(str(path), "BGR")).all()


def test_keeps_the_upper_byte_of_16_bit_images(tmp_path: Path) -> None:
    """A 16-bit image keeps its contrast instead of being clipped at 255."""
    values = np.array([[0, 255, 256], [32768, 65279, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    image = read_image(str(tmp_path / "a.png"), "BGR")
    assert image[:, :, 0].tolist() == [[0, 0, 1], [128, 254, 255]]


def test_decodes_once_and_hands_out_read_only_images(tmp_path: Path) -> None:
    """A second request is served without the file, and nobody can write into the cache."""
    path = write_image(tmp_path / "a.png", "RGB")
    cache = ImageCache()
    first = cache.get(str(path), "BGR")
    path.unlink()
    assert cache.get(str(path), "BGR") is first
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0, 0] = 1


def test_drops_the_least_recently_used(tmp_path: Path) -> None:
    """The byte limit holds, and what was used last stays."""
    a, b, c = (str(write_image(tmp_path / f"{name}.png", "RGB")) for name in "abc")
    one = 6 * 9 * 3
    cache = ImageCache(2 * one)
    kept = cache.get(a, "BGR")
    cache.get(b, "BGR")
    cache.get(a, "BGR")
    cache.get(c, "BGR")
    assert cache.size_bytes == 2 * one
    assert cache.get(a, "BGR") is kept
    assert len(ImageCache(one - 1)) == 0


def test_does_not_keep_what_exceeds_the_limit(tmp_path: Path) -> None:
    """An image larger than the whole cache is decoded and not kept."""
    cache = ImageCache(10)
    assert cache.get(str(write_image(tmp_path / "a.png", "RGB")), "RGB").shape == (6, 9, 3)
    assert (len(cache), cache.size_bytes) == (0, 0)


def test_filling_drops_nothing(tmp_path: Path) -> None:
    """What is kept stays, and what has no place any more is not kept."""
    a, b, c = (str(write_image(tmp_path / f"{name}.png", "RGB")) for name in "abc")
    cache = ImageCache(2 * 6 * 9 * 3)
    kept = cache.get(c, "BGR")
    cache.fill([a, b, c], "BGR")
    assert len(cache) == 2
    assert cache.size_bytes == 2 * 6 * 9 * 3
    assert cache.get(c, "BGR") is kept


def test_threads_share_a_cache(tmp_path: Path) -> None:
    """Threads that ask at once get equal images and the books stay right."""
    paths = [str(write_image(tmp_path / f"{number}.png", "RGB")) for number in range(8)]
    cache = ImageCache(3 * 6 * 9 * 3)
    wrong: list[str] = []

    def read() -> None:
        for _ in range(20):
            wrong.extend(path for path in paths if (cache.get(path, "RGB") != read_image(path, "RGB")).any())

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert (len(cache), cache.size_bytes) == (3, 3 * 6 * 9 * 3)
