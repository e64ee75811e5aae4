"""YAML text to plain data: safe, limited in size, with every duplicate key reported.

Scalars follow YAML 1.2, as people expect: `1e-3` is a number; `off`, `1:30` and `2026-11-22` are text.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

import yaml
from yaml.constructor import ConstructorError

from search_spaces.issues import SpecIssue, shown

MAX_CHARACTERS = 256 * 1024
MAX_NODES = 20_000
"""Values in a document once its aliases are written out; against documents that grow without end."""
MAX_DEPTH = 100
"""Values in one another; no spec has ten."""
_TOO_DEEP = "its values are nested too deeply"
_TOO_LONG = f"it is more than {MAX_NODES} values long, which is the limit"

_TAG = "tag:yaml.org,2002:"
_PLAIN = (None, *(_TAG + name for name in ("null", "bool", "float", "str", "seq", "map")))
"""Tags of JSON's types, and None for what is made of all others: an error."""


class _TooMuchError(Exception):
    """More values than there may be, or deeper in one another."""


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's scalars and JSON's types; PyYAML's are of YAML 1.1.

    What is too long or too deep ends it where that shows: with each level, PyYAML reads more slowly.
    """

    _nodes = _depth = 0

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the base class declares it so
    yaml_constructors: ClassVar[dict[str | None, Any]] = {
        tag: construct for tag, construct in yaml.SafeLoader.yaml_constructors.items() if tag in _PLAIN
    }

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """As the base class does it."""
        self._nodes += 1
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _TooMuchError(_TOO_DEEP)
        if self._nodes > MAX_NODES:
            raise _TooMuchError(_TOO_LONG)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


_Construct: TypeAlias = Callable[[yaml.SafeLoader, yaml.ScalarNode], object]


def _plain_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))  # decimal: 010 is ten, not eight


def _if_it_looks_so(name: str, pattern: re.Pattern[str], construct: _Construct) -> _Construct:
    """A tag that is written out, `!!bool maybe`, promises what its text need not keep."""

    def checked(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> object:
        text = loader.construct_scalar(node)
        if not pattern.match(text):
            raise ConstructorError(None, None, f"{shown(text)} is not of type {name}", node.start_mark)
        return construct(loader, node)

    return checked


for _name, _pattern, _first, _construct in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF", _Loader.construct_yaml_bool),
    ("int", r"[-+]?[0-9]{1,300}", "-+0123456789", _plain_int),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
        _Loader.construct_yaml_float,
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""], _Loader.construct_yaml_null),
    ("merge", r"<<", "<", _Loader.construct_yaml_str),
):
    _compiled = re.compile(rf"\A(?:{_pattern})\Z")
    _Loader.add_implicit_resolver(_TAG + _name, _compiled, list(_first))
    _Loader.add_constructor(_TAG + _name, _if_it_looks_so(_name, _compiled, _construct))


def read_yaml(text: str) -> tuple[object, list[SpecIssue]]:
    """The data in a YAML document, and what is wrong with the document as YAML.

    Never raises: text that is not YAML, that is too big or that names Python objects gives None and an issue.
    Duplicate keys are issues beside the data, in which the last one counts.
    """
    issues = length_issues(text)
    if issues:
        return None, issues
    try:
        return _read(text)
    except yaml.MarkedYAMLError as error:
        return None, [_syntax_issue(error)]
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return None, [SpecIssue("", f"not YAML: line {line} has a character that is not allowed")]
    except ValueError as error:
        return None, [SpecIssue("", f"not YAML: {error}")]
    except _TooMuchError as error:
        return None, [SpecIssue("", str(error))]


def length_issues(text: str) -> list[SpecIssue]:
    """What is wrong with the length of a document."""
    if len(text) <= MAX_CHARACTERS:
        return []
    return [SpecIssue("", f"{len(text)} characters are too many, {MAX_CHARACTERS} are allowed")]


def size_issues(data: object) -> list[SpecIssue]:
    """What is wrong with the size of plain data that was read from JSON: too many values, too deep."""
    layer, values, depth = [data], 0, 0
    while layer:
        values, depth = values + len(layer), depth + 1
        if depth > MAX_DEPTH:
            return [SpecIssue("", _TOO_DEEP)]
        if values > MAX_NODES:
            return [SpecIssue("", _TOO_LONG)]
        layer = [part for each in layer for part in _parts(each)]
    return []


def _parts(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    return list(value) if isinstance(value, list | tuple) else []


def _read(text: str) -> tuple[object, list[SpecIssue]]:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, []
        count = _count(node, {})
        if count is None:
            return None, [SpecIssue("", "an alias refers to a value that it is part of")]
        if count > MAX_NODES:
            problem = f"its aliases make it more than {MAX_NODES} values long, which is the limit"
            return None, [SpecIssue("", problem)]
        issues = _duplicates(node, "")  # before constructing, which writes merged keys into the nodes
        return loader.construct_document(node), issues
    finally:
        loader.dispose()


def _syntax_issue(error: yaml.MarkedYAMLError) -> SpecIssue:
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = (error.problem or error.context or "cannot be read").replace("\\t", "tab")
    hint = None
    if "'tab'" in problem:
        hint = "indent with spaces, not with tabs"
    elif "mapping values are not allowed" in problem:
        hint = "put a text that holds a colon in quotes"
    elif "could not determine a constructor" in problem or "is not of type" in problem:
        hint = "a spec is plain data: leave the tag out"
    elif "found another document" in problem:
        problem, hint = "a second document begins here", "one file holds one spec: leave `---` out"
    return SpecIssue("", f"not YAML: {place}{problem}", hint)


def _count(node: yaml.Node, sizes: dict[int, int | None]) -> int | None:
    """Nodes under `node` with its aliases written out, or None if it holds itself."""
    if id(node) in sizes:
        return sizes[id(node)]  # None while it is being counted
    sizes[id(node)] = None
    total = 1
    if isinstance(node, yaml.CollectionNode):
        for child in _children(node):
            size = _count(child, sizes)
            if size is None:
                return None
            total += size
    sizes[id(node)] = total
    return total


def _children(node: yaml.CollectionNode) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value)


def _duplicates(node: yaml.Node, path: str) -> list[SpecIssue]:
    issues: list[SpecIssue] = []
    if isinstance(node, yaml.SequenceNode):
        for place, item in enumerate(node.value):
            issues += _duplicates(item, f"{path}[{place}]")
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value)
            at = f"{path}.{name}" if path else name
            line = key.start_mark.line + 1
            if name in lines:
                issues.append(SpecIssue(at, f"written twice, in line {lines[name]} and in line {line}"))
            lines.setdefault(name, line)
            issues += _duplicates(value, at)
    return issues
