"""What a token allows."""

from enum import StrEnum


class Scope(StrEnum):
    """Each allows what those before it do."""

    VIEWER = "viewer"  # read
    OPERATOR = "operator"  # and submit, pause, resume, extend, cancel
    ADMIN = "admin"  # and hand out tokens

    def allows(self, needed: "Scope") -> bool:
        """Whether who has this scope may do what takes that one."""
        order = list(Scope)
        return order.index(self) >= order.index(needed)
