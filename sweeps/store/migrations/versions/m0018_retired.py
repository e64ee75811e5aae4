"""Champions that somebody retired, since nothing could restore them: their schedules begin anew."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """To this step."""
    op.add_column("champions", sa.Column("retired_at", sa.Double))
    op.add_column("champions", sa.Column("retired_by", sa.Text))
    op.add_column("champions", sa.Column("retired_reason", sa.Text))
