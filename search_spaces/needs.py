"""Whether each knob of a space can act: those of one mask head do nothing for another."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from search_spaces.issues import SpecIssue, shown
from search_spaces.knob_types import Needs
from search_spaces.knobs import knob
from search_spaces.parameters import CategoricalParameter, Parameter, Value, same_value


def need_issues(
    parsed: Mapping[str, Parameter], path: str, unsure: Collection[str] = ()
) -> Iterator[SpecIssue]:
    """A problem for each knob that is searched where it does nothing.

    Args:
        parsed: The space's parameters by name, whose conditions go in no circle.
        path: Where the space stands in the spec.
        unsure: Knobs of which it is not known what they were meant to be; nothing is said of what needs them.
    """
    # A knob outside the space -> the one in the space that leaves it the fewest values.
    deciding: dict[str, tuple[str, Needs]] = {}
    for name in parsed:
        needs = knob(name).needs
        if needs is None or needs.knob in unsure:
            continue
        if needs.knob in parsed:
            yield from _conditional(name, needs, parsed, f"{path}.{name}")
        elif not needs.implied:
            problem = f"acts with {needs.knob} only, which is not in the space"
            yield SpecIssue(f"{path}.{name}", problem, f"add {needs.knob}, or leave this out")
        else:
            other, theirs = deciding.setdefault(needs.knob, (name, needs))
            common = [value for value in needs.values if _among(value, theirs.values)]
            if not common:
                problem = f"acts where {needs}, but {other} acts where {theirs}"
                hint = f"add {needs.knob} with choices for both, and a `when` to each"
                yield SpecIssue(f"{path}.{name}", problem, hint)
            elif len(common) < len(theirs.values):
                deciding[needs.knob] = (name, needs)


def _conditional(name: str, needs: Needs, parsed: Mapping[str, Parameter], at: str) -> Iterator[SpecIssue]:
    parent = parsed[needs.knob]
    if needs.off:
        values = _single_values(parent, name, parsed)
        if values and all(_among(value, needs.off) for value in values):
            hint = f"give {needs.knob} other values, or leave one of the two out"
            off = _either([value for value in needs.off if _among(value, values)])
            yield SpecIssue(at, f"does nothing where {needs.knob} is {off}, as it always is", hint)
    if not needs.values or not isinstance(parent, CategoricalParameter):
        return
    useful = [value for value in parent.choices if _among(value, needs.values)]
    if not useful:
        always = shown(parent.choices[0]) if len(parent.choices) == 1 else f"one of {_either(parent.choices)}"
        hint = f"add {_either(needs.values)} to {needs.knob}, or leave one of the two out"
        yield SpecIssue(at, f"acts where {needs} only, but it is always {always}", hint)
    elif any(not _among(value, needs.values) for value in possible(needs.knob, name, parsed)):
        condition = shown(useful[0]) if len(useful) == 1 else f"[{', '.join(map(shown, useful))}]"
        hint = f"add `when: {{{needs.knob}: {condition}}}`"
        yield SpecIssue(at, f"acts where {needs} only", hint)


def _single_values(parent: Parameter, name: str, parsed: Mapping[str, Parameter]) -> tuple[Value, ...]:
    """The values of `parent` where `name` is active, or none if it is a range of more than one."""
    if isinstance(parent, CategoricalParameter):
        return possible(parent.name, name, parsed)
    return (parent.low,) if parent.low == parent.high else ()


def possible(parent: str, name: str, parsed: Mapping[str, Parameter]) -> tuple[Value, ...]:
    """The choices that are left to `parent` where another parameter is active.

    Args:
        parent: A categorical parameter of the space.
        name: The other one; its conditions count, and those of what it hangs on.
        parsed: The space, whose conditions go in no circle.
    """
    choices = parsed[parent]
    values = choices.choices if isinstance(choices, CategoricalParameter) else ()
    for other, allowed in parsed[name].when.items():
        inherited = allowed if other == parent else possible(parent, other, parsed)
        values = tuple(value for value in values if _among(value, inherited))
    return values


def _among(value: Value, values: Sequence[Value]) -> bool:
    return any(same_value(value, other) for other in values)


def _either(values: Sequence[Value]) -> str:
    return " or ".join(shown(value) for value in values)
