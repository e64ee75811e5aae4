"""The store's schema.

Sweep      PENDING -> RUNNING <-> PAUSED;  RUNNING, PAUSED -> STOPPING
           RUNNING, STOPPING -> COMPLETED | CANCELLED | FAILED
           PENDING -> CANCELLED | FAILED;  PAUSED -> CANCELLED
           COMPLETED, FAILED -> PAUSED  (extended after a limit of its budget ended it)
Trial      QUEUED <-> RUNNING -> COMPLETED | PRUNED | FAILED | INFEASIBLE
           QUEUED, RUNNING -> CANCELLED;  CANCELLED -> QUEUED  (its sweep was extended)
Attempt    RUNNING -> ENDED  (the trial became terminal)
                    | PAUSED (the trial is QUEUED, to go on from its checkpoint)
                    | LOST   (the trial is QUEUED again after a failure, or with its driver gone)
Launch     WAITING <-> STARTING -> RUNNING -> WAITING;  all -> ENDED  (its sweep has);  ENDED -> WAITING
           (the sweep was extended)

The arrows are `sweeps.core.states` and `sweeps.core.supervision`; each is one UPDATE that names the old state
and requires one row, with a row in `events` in the same transaction. A driver's transaction begins by
touching its sweep's row under its epoch.
Times are seconds since the Unix epoch. JSON is text, the same bytes on every database; it holds no NaN.
"""

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

# `json.loads` looks at its options first, and at spaces that are not there: that takes longer than the rest.
_decode = json.JSONDecoder().raw_decode


class Json(TypeDecorator[Any]):
    """A JSON document as text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Python to text; None stays NULL."""
        return None if value is None else json.dumps(value, separators=(",", ":"), allow_nan=False)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Text to Python."""
        return None if value is None else _decode(value)[0]


metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

sweeps = sa.Table(
    "sweeps",
    metadata,
    sa.Column("sweep_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("epoch", sa.Integer, nullable=False),  # the fence: moves on with each claim
    sa.Column("spec", sa.Text, nullable=False),  # canonical JSON, never changed
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("started_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Column("beat_at", sa.Double),  # the driver's last write
    sa.Column("driver_host", sa.Text),
    sa.Column("driver_pid", sa.Integer),
    sa.Column("worker_s", sa.Double, nullable=False),
    sa.Column("active_s", sa.Double, nullable=False),  # grows with each beat, not between drivers
    sa.Column("search_ended", sa.Text),  # why, where only replicates may still come; NULL: it goes on
    sa.Column("extension", Json),  # what was added to the spec's budget, all in one
    sa.Column("deadline_at", sa.Double),  # the moment that the budget's deadline stands for, once claimed
    sa.Column("stopped_by", sa.Text),  # the limit of the budget that ended it, or ends it
)

beginnings = sa.Table(  # what was true when a sweep was created, and what it took over; never changed
    "beginnings",
    metadata,
    sa.Column("sweep_id", sa.Text, sa.ForeignKey("sweeps.sweep_id"), primary_key=True),
    sa.Column("base", sa.Text),  # fingerprint of its base's config and weights
    sa.Column("warm_summary", Json),  # of sweeps.warm.plan, as the next; NULL: it began cold
    sa.Column("warm_trials", Json),
)

trials = sa.Table(
    "trials",
    metadata,
    sa.Column("sweep_id", sa.Text, sa.ForeignKey("sweeps.sweep_id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("params", Json, nullable=False),
    sa.Column("seed", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("iteration", sa.Integer, nullable=False),
    sa.Column("checkpoint", sa.Text),
    sa.Column("checkpoint_iteration", sa.Integer, nullable=False),
    sa.Column("worker_s", sa.Double, nullable=False),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),
    sa.Column("sampler_attrs", Json, nullable=False),
    sa.Column("metrics", Json, nullable=False),  # a copy of the last measurement's
    sa.Column("measured_iteration", sa.Integer, nullable=False, server_default="0"),  # and its rung; 0: none
    sa.Column("second_try", Json),  # once it ran out of memory beside others: {"alone", "because"}
    sa.Column("replicate_of", sa.Integer),  # the trial that this one runs again; NULL: the search's own
    sa.Index(None, "sweep_id", "replicate_of", "state"),  # counts of states, without a look at the rows
)

trial_values = sa.Table(  # trials.metrics once more, a row a value: an index finds trials in their order
    "trial_values",
    metadata,
    sa.Column("sweep_id", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Double, nullable=False),  # finite; what was not measured has no row
    sa.ForeignKeyConstraint(["sweep_id", "number"], ["trials.sweep_id", "trials.number"]),
    sa.Index(None, "sweep_id", "name", "value", "number"),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("sweep_id", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),
    sa.Column("start_iteration", sa.Integer, nullable=False),
    sa.Column("iteration", sa.Integer, nullable=False),
    sa.Column("worker_s", sa.Double, nullable=False),
    sa.Column("facts", Json),
    sa.Column("gpus", sa.Double),  # share of a GPU that it held; NULL in rows older than the column
    sa.ForeignKeyConstraint(["sweep_id", "number"], ["trials.sweep_id", "trials.number"]),
)

measurements = sa.Table(  # one a rung: the first value wins, whichever attempt brought it
    "measurements",
    metadata,
    sa.Column("sweep_id", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("iteration", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("metrics", Json, nullable=False),
    sa.Column("decision", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(["sweep_id", "number"], ["trials.sweep_id", "trials.number"]),
)

details = sa.Table(  # what does not fit a measurement's metrics; apart, because it is many times their size
    "details",
    metadata,
    sa.Column("sweep_id", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("iteration", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("document", sa.Text, nullable=False),  # JSON of sweeps.core.details, never changed
    sa.ForeignKeyConstraint(
        ["sweep_id", "number", "iteration"],
        ["measurements.sweep_id", "measurements.number", "measurements.iteration"],
    ),
)

curves = sa.Table(
    "curves",
    metadata,
    sa.Column("sweep_id", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("iteration", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("values", Json, nullable=False),
    sa.ForeignKeyConstraint(
        ["sweep_id", "number", "attempt"], ["attempts.sweep_id", "attempts.number", "attempts.attempt"]
    ),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("event_id", sa.Integer, primary_key=True),
    sa.Column("sweep_id", sa.Text, sa.ForeignKey("sweeps.sweep_id")),  # NULL: of the service, as its tokens
    sa.Column("number", sa.Integer),  # NULL: of the sweep itself
    sa.Column("attempt", sa.Integer),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("data", Json, nullable=False),
    sa.Column("by", sa.Text),  # who: a token's name, or user@host; NULL: the driver, or not known
    sa.Index(None, "sweep_id", "event_id"),
)

requests = sa.Table(  # what people ask of a sweep; a row is made once, and answered once
    "requests",
    metadata,
    sa.Column("request_id", sa.Integer, primary_key=True),
    sa.Column("sweep_id", sa.Text, sa.ForeignKey("sweeps.sweep_id"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # OPEN -> DONE | VOID
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("answered_at", sa.Double),
    sa.Column("extension", Json),  # of an extension, what it adds
    sa.Column("key", sa.Text),  # given by who asks, so that asking again changes nothing
    sa.Index(None, "sweep_id", "state"),
    sa.Index(None, "sweep_id", "key", unique=True),
)

asked_once = sa.Table(  # what was asked of a sweep under a key and done, so that a retry does nothing again
    "asked_once",
    metadata,
    sa.Column("sweep_id", sa.Text, sa.ForeignKey("sweeps.sweep_id"), primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("verb", sa.Text, primary_key=True),  # "pause", "cancel", "resume"; an extension has its request
    sa.Column("request_id", sa.Integer, sa.ForeignKey("requests.request_id")),  # NULL: none was needed
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
)

submissions = sa.Table(  # sweeps that a service drives; one that somebody runs by hand has no row
    "submissions",
    metadata,
    sa.Column("sweep_id", sa.Text, sa.ForeignKey("sweeps.sweep_id"), primary_key=True),
    sa.Column("submitted_by", sa.Text, nullable=False),
    sa.Column("submitted_at", sa.Double, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
    sa.Column("weight", sa.Double, nullable=False, server_default="1"),
    sa.Column("launcher", sa.Text),  # NULL: the service's own
    sa.Column("held_by", sa.Text),  # who paused it; NULL: it may run
    sa.Column("share_from", sa.Double),  # GPU-seconds a weight that count as used when it joined the pool
    sa.Column("rejoins", sa.Integer, nullable=False, server_default="0"),  # 1: resumed, not back yet
    sa.Column("note", sa.Text),  # what a person should know, as a deadline that will be missed
)

launches = sa.Table(  # one row a submission, written in the same transaction: its driver's process
    "launches",
    metadata,
    sa.Column("sweep_id", sa.Text, sa.ForeignKey("submissions.sweep_id"), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),  # the fence of processes: moves on with each start
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("handle", sa.Text),  # of the launcher; NULL while nobody knows whether there is a process
    sa.Column("launched_at", sa.Double),
    sa.Column("confirmed_at", sa.Double),  # when the process said that it is this launch
    sa.Column("progress", sa.Integer, nullable=False),  # measurements and ended trials at the launch
    sa.Column("failures", sa.Integer, nullable=False),  # deaths in a row without progress between them
    sa.Column("refused", sa.Integer, nullable=False, server_default="0"),  # starts in a row that were refused
    sa.Column("retry_at", sa.Double),
    sa.Column("stopped_at", sa.Double),  # when its process was told to stop
    sa.Column("reason", sa.Text),  # of the last death, or of the last refusal
)

leases = sa.Table(  # who may act; whoever finds a lease run out takes it
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("until", sa.Double, nullable=False),
)

mirrored = sa.Table(  # what a display already shows; deleting these rows makes it be built again
    "mirrored",
    metadata,
    sa.Column("target", sa.Text, primary_key=True),  # the display: a tracking URI
    sa.Column("sweep_id", sa.Text, sa.ForeignKey("sweeps.sweep_id"), primary_key=True),
    sa.Column("item", sa.Text, primary_key=True),  # "sweep", or "3/1": trial 3, attempt 1
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("cursor", Json, nullable=False),  # how far its rows were shipped
    sa.Column("at", sa.Double, nullable=False),
    sa.Index(None, "sweep_id", "at"),
)

tokens = sa.Table(  # who may use the service; a row is never deleted, so that names in events stay known
    "tokens",
    metadata,
    sa.Column("token_id", sa.Text, primary_key=True),  # the token's public part
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),  # SHA-256 of its secret part, which is stored nowhere
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double),  # NULL: never
    sa.Column("revoked_by", sa.Text),
    sa.Column("revoked_at", sa.Double),
    sa.Index(None, "name", unique=True),
)

answers = sa.Table(  # what was answered under an idempotency key; forgotten after some days
    "answers",
    metadata,
    sa.Column("by", sa.Text, primary_key=True),  # keys of two tokens do not meet
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),  # of the request, which has to be the same again
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("status", sa.Integer),  # NULL: not answered yet
    sa.Column("body", sa.Text),
    sa.Column("headers", Json),
    sa.Index(None, "at"),
)
