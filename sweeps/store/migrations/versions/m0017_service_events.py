"""Events of the service itself, as of its tokens, which belong to no sweep."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """To this step."""
    with op.batch_alter_table("events") as batch:  # SQLite changes no column: the table is made anew
        batch.alter_column("sweep_id", existing_type=sa.Text, nullable=True)
