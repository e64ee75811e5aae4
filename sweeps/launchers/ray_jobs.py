"""Drivers as jobs of a running Ray cluster, by the REST interface of its dashboard (Ray Jobs).

https://docs.ray.io/en/latest/cluster/running-applications/job-submission/rest.html
A job's id is made of the sweep and the launch, so that a launch is found again without having been written
down, and Ray refuses to run it twice.
"""

import http.client
import json
import os
import shlex
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from sweeps.core.errors import UserError
from sweeps.launchers.launcher import LauncherUnavailable
from sweeps.launchers.local import drive_command, last_lines
from sweeps.settings import Settings

ANSWER_S = 15.0
"""How long the dashboard may take to answer."""

_LIVING = {"PENDING": True, "RUNNING": True, "STOPPED": False, "SUCCEEDED": False, "FAILED": False}
_NOT_FOUND = 404
_PREFIX = "ray|"


class RayJobsLauncher:
    """Starts drivers on a Ray cluster; each joins the cluster that it runs on.

    Args:
        address: `http://HOST:PORT` of the dashboard.
        settings: Of the service. The cluster's nodes must see the same home and the same store.
        python: The interpreter of the cluster's nodes that has masksweep.

    Raises:
        UserError: The address is none.
    """

    def __init__(self, address: str, settings: Settings, python: str = "python") -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            hint = "write ray:http://HOST:8265, the address of the cluster's dashboard"
            raise UserError(f"{address!r} is not the address of a Ray dashboard", hint)
        self._address, self._settings, self._python = address.rstrip("/"), settings, python

    def start(self, sweep_id: str, number: int) -> str:
        """Submits a job.

        Raises:
            LauncherUnavailable: The dashboard does not answer, or refuses.
        """
        handle = self._handle(sweep_id, number)
        words = drive_command(sweep_id, number, self._python)
        document = {
            "entrypoint": shlex.join([*words, "--ray-address", "auto", "--handle", handle]),
            "submission_id": _job(handle),
            "runtime_env": {"env_vars": _environment(self._settings)},
            "metadata": {"masksweep_sweep": sweep_id, "masksweep_launch": str(number)},
        }
        self._ask("POST", "/api/jobs/", document)
        return handle

    def find(self, sweep_id: str, number: int) -> str | None:
        """The handle of the launch's job, if the cluster has it."""
        handle = self._handle(sweep_id, number)
        return None if self._status(handle) is None else handle

    def alive(self, handle: str) -> bool | None:
        """Whether the job waits or runs; one that the cluster has forgotten does not."""
        if not handle.startswith(_PREFIX):
            return None
        status = self._status(handle)
        return False if status is None else _LIVING.get(status)

    def stop(self, handle: str, *, force: bool = False) -> None:
        """Stops the job: Ray sends SIGTERM and some seconds later SIGKILL, whatever `force` says."""
        if self.alive(handle):
            self._ask("POST", f"{_path(handle)}/stop")

    def output(self, handle: str) -> str:
        """The last lines of the job's log."""
        try:
            found = self._ask("GET", f"{_path(handle)}/logs")
        except LauncherUnavailable:
            return ""
        return last_lines(str(found.get("logs", ""))) if found else ""

    def _handle(self, sweep_id: str, number: int) -> str:
        return f"{_PREFIX}masksweep-{sweep_id}-{number}"

    def _status(self, handle: str) -> str | None:
        """Of a job, as Ray has it; None: it has none of that name."""
        found = self._ask("GET", _path(handle))
        return None if found is None else str(found.get("status"))

    def _ask(
        self, method: str, path: str, document: Mapping[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """The answer, a JSON object; None: there is no such job."""
        body = None if document is None else json.dumps(document).encode()
        headers = {"Content-Type": "application/json", **_authorization()}
        asked = urllib.request.Request(self._address + path, data=body, headers=headers, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=ANSWER_S) as answer:
                found = json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            with error:
                said = last_lines(error.read().decode("utf-8", "replace"))
            if error.code == _NOT_FOUND and method == "GET":
                return None
            problem = f"the Ray dashboard at {self._address} refused: {error.code} {said[-500:]}"
            raise LauncherUnavailable(problem, _HINT) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            problem = f"the Ray dashboard at {self._address} does not answer: {reason}"
            raise LauncherUnavailable(problem, _HINT) from error
        if not isinstance(found, dict):
            raise LauncherUnavailable(f"what answers at {self._address} is no Ray dashboard", _HINT)
        return found


_HINT = "the head needs ray[default], and: ray start --head --include-dashboard=true"


def _job(handle: str) -> str:
    return handle.removeprefix(_PREFIX)


def _path(handle: str) -> str:
    return f"/api/jobs/{quote(_job(handle), safe='')}"


def _environment(settings: Settings) -> dict[str, str]:
    """What a driver must share with the service. A job's environment is shown to all who see the dashboard:

    the URL of a store with a password is left out, the nodes have their own, or the path of its file.
    """
    environment = {"MASKSWEEP_HOME": str(settings.home), "PYTHONUNBUFFERED": "1"}
    if file := os.environ.get("MASKSWEEP_STORE_URL_FILE"):
        environment["MASKSWEEP_STORE_URL_FILE"] = file
    elif urlsplit(settings.store_url).password is None:
        environment["MASKSWEEP_STORE_URL"] = settings.store_url
    if settings.artifact_root is None and urlsplit(settings.tracking_uri).password is None:
        environment["MLFLOW_TRACKING_URI"] = settings.tracking_uri
    if settings.data_roots:
        environment["MASKSWEEP_DATA_ROOTS"] = ":".join(map(str, settings.data_roots))
    return environment


def _authorization(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The header by which a cluster with token authentication knows us, as Ray's own clients send it."""
    if environ.get("RAY_AUTH_MODE", "").lower() == "disabled":
        return {}
    token = environ.get("RAY_AUTH_TOKEN", "").strip()
    try:
        where = environ.get("RAY_AUTH_TOKEN_PATH")
        path = Path(where).expanduser() if where else Path.home() / ".ray" / "auth_token"
        token = token or path.read_text(encoding="utf-8").strip()
    except (OSError, RuntimeError, UnicodeDecodeError):
        pass
    return {"Authorization": f"Bearer {token}"} if token else {}
