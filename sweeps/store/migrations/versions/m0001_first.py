"""Sweeps, trials, attempts, what they measured, what happened, and what a display shows of it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """To this step."""
    op.create_table(
        "sweeps",
        sa.Column("sweep_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.Column("beat_at", sa.Double),
        sa.Column("driver_host", sa.Text),
        sa.Column("driver_pid", sa.Integer),
        sa.Column("worker_s", sa.Double, nullable=False),
        sa.Column("active_s", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("sweep_id", name="pk_sweeps"),
    )
    op.create_table(
        "trials",
        sa.Column("sweep_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("params", sa.Text, nullable=False),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("iteration", sa.Integer, nullable=False),
        sa.Column("checkpoint", sa.Text),
        sa.Column("checkpoint_iteration", sa.Integer, nullable=False),
        sa.Column("worker_s", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("sampler_attrs", sa.Text, nullable=False),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("sweep_id", "number", name="pk_trials"),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.sweep_id"], name="fk_trials_sweeps"),
    )
    op.create_table(
        "attempts",
        sa.Column("sweep_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("start_iteration", sa.Integer, nullable=False),
        sa.Column("iteration", sa.Integer, nullable=False),
        sa.Column("worker_s", sa.Double, nullable=False),
        sa.Column("facts", sa.Text),
        sa.PrimaryKeyConstraint("sweep_id", "number", "attempt", name="pk_attempts"),
        sa.ForeignKeyConstraint(
            ["sweep_id", "number"], ["trials.sweep_id", "trials.number"], name="fk_attempts_trials"
        ),
    )
    op.create_table(
        "measurements",
        sa.Column("sweep_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("iteration", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("decision", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("sweep_id", "number", "iteration", name="pk_measurements"),
        sa.ForeignKeyConstraint(
            ["sweep_id", "number"], ["trials.sweep_id", "trials.number"], name="fk_measurements_trials"
        ),
    )
    op.create_table(
        "curves",
        sa.Column("sweep_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("iteration", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("values", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("sweep_id", "number", "attempt", "iteration", name="pk_curves"),
        sa.ForeignKeyConstraint(
            ["sweep_id", "number", "attempt"],
            ["attempts.sweep_id", "attempts.number", "attempts.attempt"],
            name="fk_curves_attempts",
        ),
    )
    op.create_table(
        "events",
        sa.Column("event_id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("sweep_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer),
        sa.Column("attempt", sa.Integer),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_events"),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.sweep_id"], name="fk_events_sweeps"),
    )
    op.create_index("ix_events_sweep_id_event_id", "events", ["sweep_id", "event_id"])
    op.create_table(
        "mirrored",
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("sweep_id", sa.Text, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("cursor", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("target", "sweep_id", "item", name="pk_mirrored"),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.sweep_id"], name="fk_mirrored_sweeps"),
    )
