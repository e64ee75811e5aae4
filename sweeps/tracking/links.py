"""Where a person finds a sweep in MLflow, and tracking URIs without their passwords."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

LOCAL_UI = "http://127.0.0.1:5000"
"""Where `mlflow ui` listens unless told otherwise."""

MAX_COMPARED = 100
"""Runs in a comparison; MLflow's page slows down beyond."""


@dataclass(frozen=True, slots=True)
class MlflowLinks:
    """A sweep's place in MLflow. Ids and link are None as long as nothing was mirrored there.

    Attributes:
        tracking_uri: Without user and password.
        experiment_id: MLflow's experiment.
        parent_run_id: The run that stands for the sweep.
        compare_url: Parallel coordinates of the best attempts. Where the tracking URI is a database it leads
            to `mlflow ui` on this machine.
    """

    tracking_uri: str
    experiment_id: str | None
    parent_run_id: str | None
    compare_url: str | None


def redacted(uri: str) -> str:
    """The URI without user, password and query: safe to print, and the same after a change of password."""
    parts = urlsplit(uri)
    if parts.scheme.startswith("sqlite") or not parts.netloc:
        return uri
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def without_secrets(text: str, uri: str) -> str:
    """A message in which the URI's user and password, wherever they are quoted, are replaced by stars."""
    parts = urlsplit(uri)
    userinfo, at, _ = parts.netloc.rpartition("@")
    if not at:
        return text
    text = text.replace(userinfo + at, "***@")
    return text.replace(parts.password, "***") if parts.password else text


def compare_url(tracking_uri: str, experiment_id: str, run_ids: Sequence[str]) -> str | None:
    """A link to MLflow's comparison of up to 100 runs, the best first; None if there is no run."""
    if not run_ids:
        return None
    server = urlsplit(tracking_uri).scheme in ("http", "https")
    base = redacted(tracking_uri).rstrip("/") if server else LOCAL_UI
    runs = quote(json.dumps(list(run_ids[:MAX_COMPARED]), separators=(",", ":")), safe="")
    experiments = quote(json.dumps([experiment_id]), safe="")
    return f"{base}/#/compare-runs?runs={runs}&experiments={experiments}"
