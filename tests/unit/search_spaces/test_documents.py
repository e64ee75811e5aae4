"""YAML to plain data."""

import pytest

from search_spaces.documents import MAX_CHARACTERS, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("5E2", 500.0),
        ("010", 10),
        ("-3", -3),
        ("1.", 1.0),
        ("true", True),
        ("~", None),
        ("off", "off"),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("2026-11-22", "2026-11-22"),
        ("'1e-3'", "1e-3"),
        ("1_000", "1_000"),
        ("v1.2", "v1.2"),
    ],
)
def test_scalars_are_what_they_look_like(text: str, value: object) -> None:
    """Scalars follow YAML 1.2, without the surprises of 1.1."""
    document, issues = read_yaml(f"value: {text}")
    assert issues == []
    assert isinstance(document, dict)
    assert (document["value"], type(document["value"])) == (value, type(value))


def test_anchors_and_merges_of_moderate_size_are_read() -> None:
    """Aliases are a help, as long as they stay small."""
    document, issues = read_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\n")
    assert issues == []
    assert document == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2}}


def test_a_document_that_is_too_long_is_not_parsed() -> None:
    """The limit holds before any parsing."""
    document, issues = read_yaml("#" * (MAX_CHARACTERS + 1))
    assert document is None
    assert [str(issue) for issue in issues] == [
        f"{MAX_CHARACTERS + 1} characters are too many, {MAX_CHARACTERS} are allowed"
    ]


def test_deep_nesting_is_an_issue_and_no_crash() -> None:
    """A thousand brackets exhaust no stack."""
    document, issues = read_yaml("[\n" * 5000)
    assert document is None
    assert [str(issue) for issue in issues] == ["its values are nested too deeply"]


def test_duplicates_inside_lists_have_their_place() -> None:
    """A path leads to the duplicate wherever it is."""
    _, issues = read_yaml("objectives:\n  - {metric: a}\n  - metric: a\n    metric: b\n")
    assert [str(issue) for issue in issues] == [
        "objectives[1].metric: written twice, in line 3 and in line 4"
    ]


@pytest.mark.timeout(15)  # to its end the first takes 22 s: with each open level PyYAML is slower
def test_what_is_too_deep_or_too_long_is_not_read_to_its_end() -> None:
    """The limits hold while it is parsed."""
    _, deep = read_yaml("[" + ",".join(["[" * 350 + "]" * 350] * 373) + "]")
    assert [str(issue) for issue in deep] == ["its values are nested too deeply"]
    _, long = read_yaml("[" + "1," * 100_000 + "]")
    assert [str(issue) for issue in long] == ["it is more than 20000 values long, which is the limit"]
