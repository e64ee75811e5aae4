"""What the files of a checkpoint or a champion were when they were written, and what of them is so no longer.

`contents.json` beside them has the size and the CRC-32 of every other file.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

CONTENTS = "contents.json"


def write_contents(directory: Path) -> None:
    """Writes down what is in a directory, once all of it is there.

    Raises:
        OSError: It cannot be read or written.
    """
    contents = {path.name: [path.stat().st_size, _crc(path)] for path in sorted(directory.iterdir())}
    (directory / CONTENTS).write_text(json.dumps(contents), encoding="utf-8")


def read_contents(directory: Path) -> Mapping[str, tuple[int, int]]:
    """Size in bytes and CRC-32 of each file, by name.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not what `write_contents` wrote.
    """
    try:
        document = json.loads((directory / CONTENTS).read_text(encoding="utf-8"))
        return {str(name): (int(size), int(crc)) for name, (size, crc) in document.items()}
    except (TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{CONTENTS} has no sizes of files: {error}") from error


def damages(
    directory: Path,
    contents: Mapping[str, tuple[int, int]],
    *,
    counts: Callable[[str], bool] = lambda _: True,
) -> Iterator[str]:
    """What is not as it was written, a file at a time: `model.pth is damaged`, `model.pth is gone`.

    Args:
        directory: With the files.
        contents: What they were.
        counts: Whether a file of that name matters.

    Raises:
        OSError: A file is there and cannot be read.
    """
    for name, (size, crc) in contents.items():
        if not counts(name):
            continue
        path = directory / name
        try:
            if path.stat().st_size != size or _crc(path) != crc:
                yield f"{name} is damaged"
        except FileNotFoundError:
            yield f"{name} is gone"


def _crc(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc
