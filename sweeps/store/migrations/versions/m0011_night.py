"""Schedules, their nights, champions, notifications."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """To this step."""
    op.create_table(
        "schedules",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("next_at", sa.Double),
        sa.Column("due_at", sa.Double),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("name", name="pk_schedules"),
    )
    op.create_index("ix_schedules_state_due_at", "schedules", ["state", "due_at"])
    op.create_table(
        "firings",
        sa.Column("schedule", sa.Text, nullable=False),
        sa.Column("fire_at", sa.Double, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("decided_at", sa.Double, nullable=False),
        sa.Column("sweep_id", sa.Text),
        sa.Column("started_at", sa.Double),
        sa.Column("ends_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.Column("gpu_s_before", sa.Double),
        sa.PrimaryKeyConstraint("schedule", "fire_at", name="pk_firings"),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.sweep_id"], name="fk_firings_sweeps"),
        sa.ForeignKeyConstraint(["schedule"], ["schedules.name"], name="fk_firings_schedules"),
    )
    op.create_index("ix_firings_state_ends_at", "firings", ["state", "ends_at"])
    op.create_index("ix_firings_sweep_id", "firings", ["sweep_id"])
    op.create_index("ix_firings_ended_at", "firings", ["ended_at"])
    op.create_table(
        "schedule_events",
        sa.Column("event_id", sa.Integer, nullable=False),
        sa.Column("schedule", sa.Text, nullable=False),
        sa.Column("fire_at", sa.Double),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("by", sa.Text),
        sa.PrimaryKeyConstraint("event_id", name="pk_schedule_events"),
        sa.ForeignKeyConstraint(["schedule"], ["schedules.name"], name="fk_schedule_events_schedules"),
    )
    op.create_index("ix_schedule_events_schedule_event_id", "schedule_events", ["schedule", "event_id"])
    op.create_table(
        "champions",
        sa.Column("schedule", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("sweep_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("promoted_at", sa.Double, nullable=False),
        sa.Column("directory", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("schedule", "version", name="pk_champions"),
        sa.ForeignKeyConstraint(["schedule"], ["schedules.name"], name="fk_champions_schedules"),
        sa.ForeignKeyConstraint(
            ["sweep_id", "number"], ["trials.sweep_id", "trials.number"], name="fk_champions_trials"
        ),
    )
    op.create_table(
        "verdicts",
        sa.Column("schedule", sa.Text, nullable=False),
        sa.Column("fire_at", sa.Double, nullable=False),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("sweep_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer),
        sa.Column("against", sa.Integer),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("schedule", "fire_at", name="pk_verdicts"),
        sa.ForeignKeyConstraint(
            ["schedule", "fire_at"], ["firings.schedule", "firings.fire_at"], name="fk_verdicts_firings"
        ),
    )
    op.create_table(
        "places",
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("kinds", sa.Text, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("place", name="pk_places"),
    )
    op.create_table(
        "notifications",
        sa.Column("notification_id", sa.Integer, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("found_at", sa.Double, nullable=False),
        sa.Column("found_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("notification_id", name="pk_notifications"),
    )
    op.create_index("ix_notifications_at", "notifications", ["at"])
    op.create_index("ix_notifications_subject", "notifications", ["subject"], unique=True)
    op.create_table(
        "deliveries",
        sa.Column("notification_id", sa.Integer, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("made_at", sa.Double, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.Double, nullable=False),
        sa.Column("held_until", sa.Double),
        sa.Column("by", sa.Text),
        sa.Column("ended_at", sa.Double),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("notification_id", "place", name="pk_deliveries"),
        sa.ForeignKeyConstraint(
            ["notification_id"], ["notifications.notification_id"], name="fk_deliveries_notifications"
        ),
        sa.ForeignKeyConstraint(["place"], ["places.place"], name="fk_deliveries_places"),
    )
    op.create_index("ix_deliveries_state_next_at", "deliveries", ["state", "next_at"])
