"""What a knob is: a name, the config key it stands for, its legal values, and when it acts."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from search_spaces.issues import listed, shown
from search_spaces.parameters import Value, same_value

Kind: TypeAlias = Literal["float", "int", "bool", "str"]


@dataclass(frozen=True, slots=True)
class OneOf:
    """A short list of legal values."""

    values: tuple[Value, ...]

    def allows(self, value: Value) -> bool:
        """Whether the value is in the list."""
        return any(same_value(value, legal) for legal in self.values)

    def __str__(self) -> str:
        return listed(self.values)


@dataclass(frozen=True, slots=True)
class Between:
    """Legal numbers from `low` to `high`, both included, and multiples of `multiple` if it is above 1."""

    low: float
    high: float
    multiple: int = 1

    def allows(self, value: Value) -> bool:
        """Whether the number is in the interval and a multiple."""
        if isinstance(value, bool | str) or not self.low <= value <= self.high:
            return False
        return self.multiple == 1 or value % self.multiple == 0

    def __str__(self) -> str:
        text = f"{self.low:g} to {self.high:g}"
        return text if self.multiple == 1 else f"{text} in multiples of {self.multiple}"


@dataclass(frozen=True, slots=True)
class Needs:
    """What another knob has to be for a knob to act.

    Attributes:
        knob: The other knob.
        values: Its values under which this one acts; none if any will do, as long as it is in the space.
        implied: Whether this knob acts without the other one in the space, which then is what it needs.
        off: Its values under which this one does nothing, where `values` does not say it.
    """

    knob: str
    values: tuple[Value, ...] = ()
    implied: bool = True
    off: tuple[Value, ...] = ()

    def __str__(self) -> str:
        if not self.values:
            return f"{self.knob} is searched"
        return f"{self.knob} is {' or '.join(map(shown, self.values))}"


@dataclass(frozen=True, slots=True)
class Knob:
    """One tunable name.

    Attributes:
        name: As in a spec: `mask_head.conv_dim`.
        cfg_key: The Detectron2 config key it sets, or None if it sets several or computes them.
        kind: Type of its values.
        unit: Unit of its values, or the empty string.
        legal: Values that make a model on any base.
        default: What Detectron2 v0.6 has, or None where a base decides it.
        doc: What it does, for people who tune.
        source: Where that is defined: a Detectron2 file, a paper, or masksweep itself.
        coupled: Detectron2 keys that it sets besides or instead of `cfg_key`.
        needs: Another knob that decides whether it acts, or None if it always does.
    """

    name: str
    cfg_key: str | None
    kind: Kind
    unit: str
    legal: OneOf | Between
    default: Value | None
    doc: str
    source: str
    coupled: tuple[str, ...] = ()
    needs: Needs | None = None
