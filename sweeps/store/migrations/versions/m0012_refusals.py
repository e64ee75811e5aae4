"""How often in a row no process could be started for a sweep."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """To this step."""
    op.add_column("launches", sa.Column("refused", sa.Integer, nullable=False, server_default="0"))
