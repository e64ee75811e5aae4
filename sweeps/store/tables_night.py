"""The tables of what happens when nobody is looking: schedules, their nights, champions, notifications.

Schedule      ACTIVE <-> PAUSED;  ACTIVE, PAUSED -> REMOVED -> ACTIVE (added again; its champion stays)
Firing        DUE -> RUNNING -> CLOSED;  DUE -> QUEUED -> RUNNING;  DUE, QUEUED -> SKIPPED | MISSED | FAILED
              SKIPPED, MISSED, FAILED -> DUE  (a backfill asks for a night that did not take place)
Notification  one row a thing that happened, and a delivery for each place that is to hear of it:
Delivery      WAITING -> SENT | GIVEN_UP

A firing's primary key decides who fires: one row a schedule and fire time, however many services try. It is
written before its sweep is created, under a key that comes from it, so that whoever finds it goes on with it.
"""

import sqlalchemy as sa

from sweeps.store.tables import Json, metadata

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("spec", Json, nullable=False),  # checked when it was added, with absolute paths
    sa.Column("rule", Json, nullable=False),  # of sweeps.schedules: cron, time zone, window, policies, cap
    sa.Column("revision", sa.Integer, nullable=False),  # moves on with each change, which names the old one
    sa.Column("next_at", sa.Double),  # the next fire time; NULL: it has none, or is paused
    sa.Column("due_at", sa.Double),  # that with its jitter
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("reason", sa.Text),  # why it is paused
    sa.Index(None, "state", "due_at"),
)

firings = sa.Table(  # the nights
    "firings",
    metadata,
    sa.Column("schedule", sa.Text, sa.ForeignKey("schedules.name"), primary_key=True),
    sa.Column("fire_at", sa.Double, primary_key=True),  # as the rule says it, without jitter
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("why", sa.Text, nullable=False),  # "time", "catch-up", "backfill"
    sa.Column("decided_at", sa.Double, nullable=False),
    sa.Column("sweep_id", sa.Text, sa.ForeignKey("sweeps.sweep_id")),  # several nights may share one
    sa.Column("started_at", sa.Double),
    sa.Column("ends_at", sa.Double),  # of its window; NULL: open
    sa.Column("ended_at", sa.Double),
    sa.Column("gpu_s_before", sa.Double),  # what its sweep had held when this night began
    sa.Column("rule", Json),  # its schedule's when it was decided, and then when it began; NULL: an old row
    sa.Index(None, "state", "ends_at"),
    sa.Index(None, "sweep_id"),
    sa.Index(None, "ended_at"),  # whoever tells of nights asks for those that ended lately
)

schedule_events = sa.Table(  # what was done to a schedule, by whom and when
    "schedule_events",
    metadata,
    sa.Column("event_id", sa.Integer, primary_key=True),
    sa.Column("schedule", sa.Text, sa.ForeignKey("schedules.name"), nullable=False),
    sa.Column("fire_at", sa.Double),  # NULL: of the schedule itself
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("data", Json, nullable=False),
    sa.Column("by", sa.Text),
    sa.Index(None, "schedule", "event_id"),
)

champions = sa.Table(  # every champion that a schedule had; the highest version reigns, unless it was retired
    "champions",
    metadata,
    sa.Column("schedule", sa.Text, sa.ForeignKey("schedules.name"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),  # from 1
    sa.Column("sweep_id", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),  # the trial
    sa.Column("promoted_at", sa.Double, nullable=False),
    sa.Column("directory", sa.Text, nullable=False),  # config, settings and checkpoint: a copy of its own
    sa.Column("document", Json, nullable=False),  # metric, value, parameters, settings, fingerprints
    sa.Column("retired_at", sa.Double),  # NULL: it was not
    sa.Column("retired_by", sa.Text),
    sa.Column("retired_reason", sa.Text),  # NULL: none was given
    sa.ForeignKeyConstraint(["sweep_id", "number"], ["trials.sweep_id", "trials.number"]),
)

verdicts = sa.Table(  # what was decided of a night's best, once
    "verdicts",
    metadata,
    sa.Column("schedule", sa.Text, primary_key=True),
    sa.Column("fire_at", sa.Double, primary_key=True),
    sa.Column("decision", sa.Text, nullable=False),  # FIRST, PROMOTED, KEPT, NO_CANDIDATE, FAILED
    sa.Column("reason", sa.Text, nullable=False),  # in words
    sa.Column("sweep_id", sa.Text, nullable=False),
    sa.Column("number", sa.Integer),  # of the candidate; NULL: there was none
    sa.Column("against", sa.Integer),  # version of the champion that it was compared with; NULL: none
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("document", Json, nullable=False),  # difference, its bounds, confidence, images, runs
    sa.ForeignKeyConstraint(["schedule", "fire_at"], ["firings.schedule", "firings.fire_at"]),
)

places = sa.Table(  # who is to hear of what happens: one row a URL of a service's settings
    "places",
    metadata,
    sa.Column("place", sa.Text, primary_key=True),  # scheme and digest of the URL, which holds secrets
    sa.Column("kinds", Json, nullable=False),  # what is told there
    sa.Column("since", sa.Double, nullable=False),  # what happened before is not told there
    sa.Column("changed_at", sa.Double, nullable=False),
    sa.Column("changed_by", sa.Text, nullable=False),  # the service that first had it so in its settings
)

notifications = sa.Table(
    "notifications",
    metadata,
    sa.Column("notification_id", sa.Integer, primary_key=True),
    sa.Column("subject", sa.Text, nullable=False),  # what happened to what: told once
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),  # when it happened
    sa.Column("found_at", sa.Double, nullable=False),
    sa.Column("found_by", sa.Text, nullable=False),  # the service
    sa.Index(None, "subject", unique=True),
    sa.Index(None, "at"),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column(
        "notification_id",
        sa.Integer,
        sa.ForeignKey("notifications.notification_id"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("place", sa.Text, sa.ForeignKey("places.place"), primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("made_at", sa.Double, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),  # the fence: moves on with each
    sa.Column("next_at", sa.Double, nullable=False),
    sa.Column("held_until", sa.Double),  # whoever sends it has it until then
    sa.Column("by", sa.Text),  # the service that made the last attempt
    sa.Column("ended_at", sa.Double),  # when it was SENT or GIVEN_UP
    sa.Column("error", sa.Text),  # of the last attempt
    sa.Index(None, "state", "next_at"),
)
