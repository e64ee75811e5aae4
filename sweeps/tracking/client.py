"""The only MLflow import: a client that is quiet, gives up soon, and tells no passwords.

Importing MLflow takes seconds, so that `Tracker` does it when it is made and not before.
"""

import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.tracking.champion_key import ChampionKey
from sweeps.tracking.database import prepare
from sweeps.tracking.errors import MirrorUnavailable, RunGone
from sweeps.tracking.links import redacted, without_secrets
from sweeps.tracking.picture import ATTEMPT_TAG, SWEEP_TAG, TRIAL_TAG, DatasetPicture, Point, RunPicture

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_METRICS = 1000  # in one batch, and entities in all
MAX_PARAMS = 100
_PAGE = 1000
_MESSAGE = 300

_ENVIRONMENT = {
    # With its defaults MLflow tries for 245 s to reach a server that is down. The mirror comes again anyway.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}
_LEVELS = {
    "mlflow.store.db.utils": logging.CRITICAL,  # prints the traceback of what it raises as well
    "urllib3.connectionpool": logging.ERROR,  # a line for every retry
    "alembic": logging.WARNING,  # a line for every migration of a new database
}


class Tracker:
    """An MLflow tracking store, as far as the mirror needs it.

    Args:
        tracking_uri: As MLflow takes it; user and password in it appear in no message.
        artifact_root: Where the artifacts of new experiments go, or None for the server's own place.

    Raises:
        MirrorUnavailable: From every method, when MLflow does not answer or refuses.
        RunGone: From every method that takes a run, when there is no such run any more.
    """

    def __init__(self, tracking_uri: str, artifact_root: str | None = None) -> None:
        self._uri = tracking_uri
        self._artifact_root = artifact_root
        with self._guarded():
            self._client: MlflowClient = _open(tracking_uri)

    def experiment(self, name: str) -> str:
        """The id of the experiment of that name, made or restored if need be."""
        with self._guarded():
            found = self._client.get_experiment_by_name(name)
            if found is None:
                return str(self._client.create_experiment(name, artifact_location=self._artifact_root))
            if found.lifecycle_stage != "active":
                self._client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)

    def exists(self, run_id: str) -> bool:
        """Whether the run is there and not deleted."""
        try:
            with self._guarded():
                return bool(self._client.get_run(run_id).info.lifecycle_stage == "active")
        except RunGone:
            return False

    def find(self, experiment_id: str, sweep_id: str) -> dict[tuple[int, int] | None, str]:
        """Run ids of a sweep by (trial, attempt), the parent's under None.

        Restoring an experiment brings back runs that were deleted and made again; of doubles the oldest
        stays, the others go to MLflow's bin.
        """
        found: dict[tuple[int, int] | None, str] = {}
        doubles: list[str] = []
        token: str | None = None
        while True:
            with self._guarded():
                page = self._client.search_runs(
                    [experiment_id],
                    f"tags.`{SWEEP_TAG}` = '{sweep_id}'",
                    max_results=_PAGE,
                    order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
                    page_token=token,
                )
            for run in page:
                tags = run.data.tags
                key = (int(tags[TRIAL_TAG]), int(tags[ATTEMPT_TAG])) if TRIAL_TAG in tags else None
                if found.setdefault(key, run.info.run_id) != run.info.run_id:
                    doubles.append(run.info.run_id)
            token = page.token
            if not token:
                break
        for run_id in doubles:
            with self._guarded():
                self._client.delete_run(run_id)
        return found

    def create(self, experiment_id: str, picture: RunPicture) -> str:
        """A new RUNNING run with the picture's name, start and tags; its id."""
        with self._guarded():
            run = self._client.create_run(
                experiment_id,
                start_time=picture.started_ms,
                tags=dict(picture.tags),
                run_name=picture.name,
            )
            return str(run.info.run_id)

    def log(
        self, run_id: str, points: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str]
    ) -> None:
        """One batch: at most 1000 in all, of which 100 params. What is there already changes nothing."""
        from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415

        with self._guarded():
            self._client.log_batch(
                run_id,
                metrics=[Metric(p.key, p.value, p.at_ms, p.step) for p in points],
                params=[Param(key, value) for key, value in params.items()],
                tags=[RunTag(key, value) for key, value in tags.items()],
            )

    def set_status(self, run_id: str, picture: RunPicture) -> None:
        """Gives the run its status and, if it has ended, its end."""
        with self._guarded():
            if picture.ended_ms is not None:
                self._client.set_terminated(run_id, picture.status, picture.ended_ms)
            else:
                self._client.update_run(run_id, picture.status)

    def put(self, run_id: str, name: str, content: str | bytes) -> None:
        """Stores a text, or the bytes of a picture, as an artifact, in the place of one of that name."""
        with self._guarded():
            if isinstance(content, str):
                self._client.log_text(run_id, content, name)
                return
            with tempfile.TemporaryDirectory(prefix="masksweep-") as directory:
                file = Path(directory) / name
                file.write_bytes(content)
                self._client.log_artifact(run_id, str(file))

    def log_datasets(self, run_id: str, datasets: Sequence[DatasetPicture]) -> None:
        """The run's inputs. What is there already changes nothing."""
        from mlflow.entities import Dataset, DatasetInput, InputTag  # noqa: PLC0415

        with self._guarded():
            self._client.log_inputs(
                run_id,
                [
                    DatasetInput(
                        Dataset(name=each.name, digest=each.digest, source_type="local", source=each.source),
                        tags=[InputTag("mlflow.data.context", each.context)],
                    )
                    for each in datasets
                ],
            )

    def put_file(self, run_id: str, path: Path, place: str) -> None:
        """Stores a file as an artifact in the directory `place`, in the place of one of its name there."""
        with self._guarded():
            self._client.log_artifact(run_id, str(path), place)

    def model_versions(self, name: str) -> dict[ChampionKey, str]:
        """The versions of a registered model, MLflow's by whose they are; none if there is no such model.

        A version that was not made by `register` is left out; of doubles the oldest counts.
        """
        found: dict[ChampionKey, str] = {}
        token: str | None = None
        while True:
            with self._guarded():
                page = self._client.search_model_versions(f"name = '{name}'", page_token=token)
            for each in page:
                if key := ChampionKey.in_tags(each.tags):
                    found[key] = str(min(int(each.version), int(found.get(key, each.version))))
            token = page.token
            if not token:
                return found

    def register(self, name: str, run_id: str, place: str, key: ChampionKey, tags: Mapping[str, str]) -> str:
        """A new version of a registered model, which is made if need be; MLflow's number of it.

        Args:
            name: The model's; see `sweeps.tracking.names.model_name`.
            run_id: The run that has its files,
            place: in that directory of its artifacts.
            key: By which `model_versions` finds it.
            tags: What else it is tagged with.
        """
        with self._guarded():
            if not self._client.search_registered_models(f"name = '{name}'", max_results=1):
                self._make_model(name)
            root = self._client.get_run(run_id).info.artifact_uri
            source = f"{root}/{place}"
            made = self._client.create_model_version(name, source, run_id, tags={**tags, **key.tags()})
            return str(made.version)

    def alias(self, name: str, alias: str) -> str | None:
        """MLflow's number of the version that an alias names; None without such an alias, or model."""
        try:
            with self._guarded():
                named = self._client.get_registered_model(name).aliases.get(alias)
        except RunGone:
            return None
        return None if named is None else str(named)

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Lets an alias of a registered model name a version, whatever it named before."""
        with self._guarded():
            self._client.set_registered_model_alias(name, alias, version)

    def delete_alias(self, name: str, alias: str) -> None:
        """Takes an alias from a registered model; without such an alias, or model, nothing is changed."""
        try:
            with self._guarded():
                self._client.delete_registered_model_alias(name, alias)
        except RunGone:
            return

    def _make_model(self, name: str) -> None:
        try:
            self._client.create_registered_model(name)
        except Exception as error:
            if getattr(error, "error_code", "") != "RESOURCE_ALREADY_EXISTS":  # another mirror was faster
                raise

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            message = without_secrets(_in_a_line(error), self._uri)
            if _is_gone(error):
                raise RunGone(message) from None
            # "from None": the chained errors quote the URI with its password
            raise MirrorUnavailable(
                f"MLflow at {redacted(self._uri)}: {message}",
                "everything is in the store; masksweep mirror ships it once MLflow answers",
            ) from None


def _open(tracking_uri: str) -> Any:
    chosen = os.environ.get("MLFLOW_LOGGING_LEVEL")
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name, level in _LEVELS.items():
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET and chosen is None:
            logger.setLevel(level)
    from mlflow import MlflowClient  # noqa: PLC0415

    prepare(tracking_uri, MlflowClient)
    return MlflowClient(tracking_uri)


def _in_a_line(error: Exception) -> str:
    """What the system said, if MLflow wrapped that in all it was doing; else its message's first line."""
    text = str(error).strip() or type(error).__name__
    said = re.search(r"\[Errno -?\d+\] ([^'\"()]+)", text)
    line = said[1] if said else text.splitlines()[0]
    return line if len(line) <= _MESSAGE else line[:_MESSAGE] + "…"


def _is_gone(error: Exception) -> bool:
    code = getattr(error, "error_code", "")
    return code == "RESOURCE_DOES_NOT_EXIST" or ("The run" in str(error) and "'active' state" in str(error))
