"""Wrong specs as data: each case of tests/cases/specs gives exactly the lines that it lists."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sweeps.core.errors import SpecInvalid
from sweeps.core.spec import parse_spec

CASES = Path(__file__).parents[1] / "cases" / "specs"
GOOD = {
    "version": "version: 1",
    "name": "name: parts",
    "dataset": "dataset:\n"
    "  train: {annotations: train.json, images: images}\n"
    "  val: {annotations: val.json, images: images}",
    "base": "base: {preset: mask_rcnn_tiny}",
}


def cases() -> list[Any]:
    found = []
    for path in sorted(CASES.glob("*.yaml")):
        for case in yaml.safe_load(path.read_text()):
            found.append(pytest.param(case, id=f"{path.stem}: {case['name']}"))
    return found


def text_of(case: dict[str, Any]) -> str:
    """A case's spec, with the good sections before it that it does not have itself."""
    spec = case["spec"]
    if case.get("whole"):
        return spec
    return "\n".join([text for name, text in GOOD.items() if not re.search(rf"(?m)^{name}:", spec)] + [spec])


@pytest.mark.parametrize("case", cases())
def test_a_wrong_spec_gets_exactly_its_lines(case: dict[str, Any]) -> None:
    """Every problem is told at once: path, what was got, what is allowed, and a near name."""
    with pytest.raises(SpecInvalid) as caught:
        parse_spec(text_of(case), Path("/sweep"))
    assert case["issues"] == [str(issue) for issue in caught.value.issues]


def test_the_good_sections_alone_are_a_good_spec() -> None:
    """The cases fail for what they say, not for what they are laid over."""
    assert parse_spec("\n".join(GOOD.values()), Path("/sweep")).name == "parts"
