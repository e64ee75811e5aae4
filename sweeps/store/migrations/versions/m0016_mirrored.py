"""What was shown of one sweep is found without a look at all that was ever shown."""

from collections.abc import Sequence

from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """To this step."""
    op.create_index("ix_mirrored_sweep_id_at", "mirrored", ["sweep_id", "at"])
