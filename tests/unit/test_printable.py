"""Words about what a spec holds can be written everywhere, whatever it holds."""

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from runners.champion.contest import Refusal
from search_spaces.documents import read_yaml
from search_spaces.issues import SpecIssue, printable
from sweeps.core.errors import SpecInvalid, UserError
from sweeps.core.spec import parse_spec
from sweeps.core.trial import Failure, FailureKind


def test_only_what_is_no_text_is_written_out():
    """Whole characters stay; halves, in pairs too, and zero bytes are told by their numbers."""
    assert printable("gear ä 🔩 \\ud800") == "gear ä 🔩 \\ud800"
    assert printable("\ud83d\udd29 \udcff\0") == "\\ud83d\\udd29 \\udcff\\x00"


def test_problems_of_a_spec_go_everywhere(tmp_path: Path):
    """Keys that are halves of characters stand in paths, problems and hints: UTF-8 and SQL take them."""
    with pytest.raises(SpecInvalid) as caught:
        parse_spec('version: 1\n"\\ud800": 1\nname: "\\udfff"\nspace: {"a\\ud800": {"\\0": 1}}\n', tmp_path)
    issues = caught.value.issues
    assert {"\\ud800", "name", "space.a\\ud800"} <= {issue.path for issue in issues}
    texts = [str(caught.value)]
    for each in issues:
        texts += [each.path, each.problem, each.hint or ""]
    with sa.create_engine("sqlite://").connect() as connection:
        for text in texts:
            assert json.loads(json.dumps(text, ensure_ascii=False).encode()) == text
            assert connection.scalar(sa.select(sa.literal(text))) == text
            assert "\0" not in text


def test_a_key_that_is_there_twice_is_told():
    """YAML's own checks name the key as well."""
    _, issues = read_yaml('{"\\ud800": 1, "\\ud800": 2}')
    assert [issue.path for issue in issues] == ["\\ud800"]


@pytest.mark.parametrize(
    "words",
    [
        lambda text: str(UserError(text)),
        lambda text: UserError("", text).hint,
        lambda text: str(SpecInvalid([SpecIssue(text, "", "")])).removesuffix(": "),
        lambda text: Failure(FailureKind.ERROR, text).message,
        lambda text: Failure(FailureKind.ERROR, "", text).detail,
        lambda text: Refusal(text).reason,
    ],
)
def test_what_is_stored_or_shown_of_an_error_is_printable(words):
    """Wherever it was raised: a name of a file can be no UTF-8 either."""
    assert words("/data/\udcff.png") == "/data/\\udcff.png"
