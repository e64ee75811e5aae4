"""What MLflow shows of a sweep, on a database of its own and on a server."""

import json
import subprocess
import sys

import pytest
from mlflow import MlflowClient

from sweeps.core.details import details_from_document
from sweeps.core.spec import spec_document
from sweeps.core.states import SweepState
from sweeps.importance import importance_document, importances
from sweeps.service import SweepService
from sweeps.store.totals import totals
from sweeps.testing import COMPLETED, LOST, PRUNED, RETRIED
from sweeps.tracking import Mirror, MirrorUnavailable, figures
from sweeps.tracking.testing import (
    FACTS,
    Story,
    free_port,
    mlflow_server,
    new_database,
    shown,
    story_details,
)
from sweeps.warm.plan import Origin, WarmPlan, WarmSummary


@pytest.fixture
def story(tmp_path):
    return Story(tmp_path)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with mlflow_server(tmp_path_factory.mktemp("server"), free_port()) as uri:
        yield uri


@pytest.fixture
def embedded(story, tmp_path):
    return Mirror(
        story.service, new_database(tmp_path / "mlflow.db"), artifact_root=str(tmp_path / "artifacts")
    )


@pytest.fixture(params=["sqlite", "server"])
def mirror(request, story):
    if request.param == "server":
        return Mirror(story.service, request.getfixturevalue("server"))
    return request.getfixturevalue("embedded")


def uri_of(mirror: Mirror) -> str:
    return mirror.links(mirror._service.sweeps()[0].sweep_id).tracking_uri


def metrics_in(service: SweepService, sweep_id: str, number: int, attempt: int):
    """What the store measured in an attempt, as MLflow lists it."""
    rows = [
        (name.replace("(", "_").replace(")", "_"), m.iteration, m.at, value)
        for m in service.measurements(sweep_id)
        if (m.number, m.attempt) == (number, attempt)
        for name, value in m.metrics.items()
    ]
    rows += [
        (f"loss/{name}" if "loss" in name else name, c.iteration, c.at, value)
        for c in service.curves(sweep_id)
        if (c.number, c.attempt) == (number, attempt)
        for name, value in c.values.items()
    ]
    found: dict[str, list[tuple[int, int, float]]] = {}
    for name, iteration, at, value in rows:
        found.setdefault(name, []).append((iteration, round(at * 1000), value))
    return {name: sorted(values) for name, values in found.items()}


def test_a_finished_sweep_is_shown_exactly_as_it_is_stored(story, mirror, tmp_path):
    """Every measurement, curve, parameter, state, time, config and data set is in MLflow, and no other."""
    story.first_half()
    mirror.sync(story.sweep_id)
    story.second_half()
    state = mirror.sync(story.sweep_id)

    assert state.settled
    assert state.runs == 6
    service, sweep_id = story.service, story.sweep_id
    seen = shown(uri_of(mirror), sweep_id, tmp_path)
    attempts = {(a.number, a.attempt): a for a in service.attempts(sweep_id)}
    trials = {t.number: t for t in service.trials(sweep_id)}
    assert set(seen) == {None, *attempts}
    for key, attempt in attempts.items():
        run, trial = seen[key], trials[key[0]]
        assert run.metrics == metrics_in(service, sweep_id, *key)
        assert run.params == {name: str(value) for name, value in trial.params.items()}
        assert (run.start_ms, run.end_ms) == (
            round(attempt.started_at * 1000),
            round(attempt.ended_at * 1000),
        )
        assert run.inputs == [("train", "train", ("f1" * 18)), ("val", "val", ("f1" * 18))]
        if attempt.facts:
            assert run.artifacts["config.yaml"] == FACTS.config
            assert json.loads(run.artifacts["environment.json"]) == {
                "host": "worker-1",
                "skipped_weights": ["deconv.weight"],
                "torch": "2.14.1",
            }
    looks = {key: (run.name, run.status, run.tags["masksweep.state"]) for key, run in seen.items()}
    assert looks == {
        None: ("parts nightly", "KILLED", "CANCELLED"),
        (0, 1): ("trial-0000", "FINISHED", "COMPLETED"),
        (1, 1): ("trial-0001", "FINISHED", "PRUNED"),
        (2, 1): ("trial-0002", "FAILED", "LOST"),
        (2, 2): ("trial-0002-attempt-2", "FINISHED", "COMPLETED"),
        (3, 1): ("trial-0003", "FAILED", "INFEASIBLE"),
        (4, 1): ("trial-0004", "KILLED", "PAUSED"),
    }
    assert seen[(1, 1)].tags["masksweep.reason"] == "segm/AP 1 at iteration 75"
    assert seen[(1, 1)].tags["masksweep.iteration"] == "10"
    assert [seen[(2, attempt)].tags["masksweep.gpus"] for attempt in (1, 2)] == ["0.5", "1"]
    assert seen[(3, 1)].tags["masksweep.reason"] == "does_not_build: no such norm"
    assert seen[(2, 2)].tags["masksweep.dataset_fingerprint"] == "f1" * 32


def test_what_an_evaluation_tells_is_shown_when_the_attempt_is_over(story, mirror, tmp_path):
    """Details of the last measured rung, as JSON and as pictures; while it runs there are none."""
    story.trial(0)
    story.rung(0, 1, 10, 11.0)
    mirror.sync(story.sweep_id)
    run = shown(uri_of(mirror), story.sweep_id, tmp_path)[(0, 1)]
    assert set(run.artifacts) == {"config.yaml", "environment.json"}

    story.rung(0, 1, 30, 33.5, COMPLETED)
    story.trial(1)
    story.rung(1, 1, 30, 3.0, COMPLETED)
    mirror.sync(story.sweep_id)
    seen = shown(uri_of(mirror), story.sweep_id, tmp_path)
    last = story_details(33.5, whole=True)
    pictures = {name: content for name, content in seen[(0, 1)].artifacts.items() if name.endswith(".png")}
    assert details_from_document(seen[(0, 1)].artifacts["details.json"]) == last
    assert set(pictures) == {"operating_points.png", "reliability.png", "settings.png"}
    assert pictures == figures.pictures(last)
    assert not {"details.json", *pictures} & set(seen[(1, 1)].artifacts)


def test_an_attempt_that_ends_after_its_last_rung_shows_that_rung(story, embedded, tmp_path):
    """Lost on the way to the next one, it still has what it measured; its successor has its own."""
    story.trial(0)
    story.rung(0, 1, 10, 11.0)
    story.report(0, 1, 19, RETRIED, failure=LOST)
    story.service.start_attempt(story.claim, 0, story.tick())
    story.rung(0, 2, 10, 99.0)
    story.rung(0, 2, 20, 22.0, COMPLETED)
    embedded.sync(story.sweep_id)
    seen = shown(uri_of(embedded), story.sweep_id, tmp_path)
    for key, ap in (((0, 1), 11.0), ((0, 2), 22.0)):
        assert details_from_document(seen[key].artifacts["details.json"]) == story_details(ap, whole=False)


def test_the_parent_run_tells_of_the_sweep(story, embedded, tmp_path):
    """It has the spec, the state with its reason, and how the best trial's metrics rose as trials ended."""
    story.first_half()
    story.second_half()
    embedded.sync(story.sweep_id)
    sweep, trials = story.service.sweep(story.sweep_id), story.service.trials(story.sweep_id)
    parent = shown(uri_of(embedded), story.sweep_id, tmp_path)[None]
    assert json.loads(parent.artifacts["spec.json"]) == json.loads(spec_document(sweep.spec))
    assert parent.tags["masksweep.reason"] == "cancelled by ann"
    assert parent.tags["masksweep.objectives"] == "maximize segm/AP"
    assert parent.tags["masksweep.best_trial"] == "2"
    assert parent.tags["masksweep.trials"] == "2 COMPLETED, 1 PRUNED, 1 INFEASIBLE, 1 CANCELLED"
    assert parent.metrics["best/segm/AP"] == [
        (1, round(trials[0].ended_at * 1000), 33.5),
        (3, round(trials[2].ended_at * 1000), 44.0),
    ]
    assert (parent.start_ms, parent.end_ms) == (round(sweep.created_at * 1000), round(sweep.ended_at * 1000))


def test_a_sweep_that_runs_is_shown_running(story, embedded, tmp_path):
    """What is not over has no end, and what was measured so far is there already."""
    story.first_half()
    assert not embedded.sync(story.sweep_id).settled
    seen = shown(uri_of(embedded), story.sweep_id, tmp_path)
    assert (seen[None].status, seen[None].end_ms) == ("RUNNING", None)
    assert (seen[(4, 1)].status, seen[(4, 1)].end_ms) == ("RUNNING", None)
    assert seen[(4, 1)].metrics == metrics_in(story.service, story.sweep_id, 4, 1)


def test_a_second_sync_ships_nothing(story, mirror, tmp_path):
    """Without news in the store a sync only looks whether the parent is there."""
    story.first_half()
    assert mirror.sync(story.sweep_id).shipped > 0
    before = shown(uri_of(mirror), story.sweep_id, tmp_path)
    steps: list[str] = []
    assert mirror.sync(story.sweep_id, before_step=steps.append).shipped == 0
    assert steps == ["look for the parent"]
    assert shown(uri_of(mirror), story.sweep_id, tmp_path) == before


def test_a_paused_sweep_runs_again_in_the_same_run(story, embedded, tmp_path):
    """Pausing and going on changes the parent's status there and back."""
    story.service.finish(story.claim, SweepState.PAUSED, "ctrl-c", story.tick())
    embedded.sync(story.sweep_id)
    assert shown(uri_of(embedded), story.sweep_id, tmp_path)[None].status == "SCHEDULED"
    story.claim = story.service.claim(story.sweep_id, story.tick())
    embedded.sync(story.sweep_id)
    assert shown(uri_of(embedded), story.sweep_id, tmp_path)[None].status == "RUNNING"


def test_another_mlflow_is_filled_from_the_store(story, mirror, tmp_path):
    """A second tracking URI gets everything, and the first is left as it is."""
    story.first_half()
    mirror.sync(story.sweep_id)
    other = new_database(tmp_path / "other.db")
    Mirror(story.service, other, artifact_root=str(tmp_path / "other")).sync(story.sweep_id)
    first, second = (shown(uri, story.sweep_id, tmp_path) for uri in (uri_of(mirror), other))
    assert first == second


def test_runs_deleted_by_hand_are_shown_again(story, mirror, tmp_path):
    """Deleting a run that goes on, the parent or the experiment is mended by the next sync."""
    story.first_half()
    mirror.sync(story.sweep_id)
    before = shown(uri_of(mirror), story.sweep_id, tmp_path)
    client = MlflowClient(uri_of(mirror))
    client.delete_run(mirror.links(story.sweep_id).parent_run_id)
    mirror.sync(story.sweep_id)
    assert shown(uri_of(mirror), story.sweep_id, tmp_path) == before

    links = mirror.links(story.sweep_id)
    running = client.search_runs([links.experiment_id], "tags.`masksweep.trial` = '4'")[0]
    client.delete_run(running.info.run_id)
    story.report(4, 1, 20)
    mirror.sync(story.sweep_id)
    seen = shown(uri_of(mirror), story.sweep_id, tmp_path)
    assert seen[(4, 1)].metrics == metrics_in(story.service, story.sweep_id, 4, 1)

    client.delete_experiment(links.experiment_id)
    mirror.sync(story.sweep_id)
    assert shown(uri_of(mirror), story.sweep_id, tmp_path) == seen


def test_a_deleted_database_is_built_again(story, tmp_path):
    """Marks of a database that is gone count for nothing: all is shipped again, and quietly."""
    story.first_half()
    uri = f"sqlite:///{tmp_path / 'gone.db'}"
    script = (
        "import sys; from pathlib import Path; from sweeps.service import SweepService\n"
        "from sweeps.store.engine import open_engine; from sweeps.tracking import Mirror\n"
        "service = SweepService(open_engine(sys.argv[1]))\n"
        "print(Mirror(service, sys.argv[2], artifact_root=sys.argv[3]).sync(sys.argv[4]).shipped)\n"
    )
    command = [sys.executable, "-c", script, f"sqlite:///{tmp_path / 'store.db'}", uri]
    command += [str(tmp_path / "artifacts"), story.sweep_id]
    runs = []
    for _ in range(2):
        runs.append(subprocess.run(command, capture_output=True, text=True, check=True))
        (tmp_path / "gone.db").rename(tmp_path / "moved.db")
    assert runs[0].stdout == runs[1].stdout
    assert [run.stderr for run in runs] == ["", ""]
    assert int(runs[0].stdout) > 0
    assert len(shown(f"sqlite:///{tmp_path / 'moved.db'}", story.sweep_id, tmp_path)) == 6


def test_links_lead_to_the_best_attempts_first(story, mirror):
    """The comparison has each measured trial's newest attempt, best first, and no secret."""
    before = mirror.links(story.sweep_id)
    assert (before.experiment_id, before.parent_run_id, before.compare_url) == (None, None, None)
    story.first_half()
    story.second_half()
    state = mirror.sync(story.sweep_id)
    links = mirror.links(story.sweep_id)
    assert (links.experiment_id, links.parent_run_id) == (state.experiment_id, state.parent_run_id)
    runs = MlflowClient(links.tracking_uri).search_runs(
        [links.experiment_id], f"tags.`masksweep.sweep_id` = '{story.sweep_id}'"
    )
    ids = {run.info.run_name: run.info.run_id for run in runs}
    best_first = [ids[name] for name in ("trial-0002-attempt-2", "trial-0000", "trial-0004", "trial-0001")]
    assert links.compare_url is not None
    places = [links.compare_url.index(run_id) for run_id in best_first]
    assert places == sorted(places)


def test_an_mlflow_that_is_down_is_said_without_its_password(story):
    """The error names the address, and neither user nor password."""
    port = free_port()
    mirror = Mirror(story.service, f"http://ann:s3cret@127.0.0.1:{port}")
    with pytest.raises(MirrorUnavailable) as caught:
        mirror.sync(story.sweep_id)
    assert str(caught.value) == f"MLflow at http://127.0.0.1:{port}: Connection refused"
    assert caught.value.__cause__ is None
    assert mirror.links(story.sweep_id).tracking_uri == f"http://127.0.0.1:{port}"


def test_artifacts_that_cannot_be_stored_hold_up_nothing_else(story, tmp_path):
    """A broken artifact store is told, while all metrics are shown; once it is mended they follow."""
    story.first_half()
    blocked = tmp_path / "artifacts"
    blocked.write_text("a file where a directory should be")
    uri = new_database(tmp_path / "mlflow.db")
    mirror = Mirror(story.service, uri, artifact_root=str(blocked))
    with pytest.raises(MirrorUnavailable):
        mirror.sync(story.sweep_id)
    blocked.unlink()
    blocked.mkdir()
    seen = shown(uri, story.sweep_id, tmp_path)
    assert seen[(0, 1)].metrics == metrics_in(story.service, story.sweep_id, 0, 1)
    assert seen[(0, 1)].artifacts == {}
    mirror.sync(story.sweep_id)
    seen = shown(uri, story.sweep_id, tmp_path)
    assert {"config.yaml", "environment.json", "details.json", "settings.png"} <= set(seen[(0, 1)].artifacts)
    assert set(seen[(4, 1)].artifacts) == {"config.yaml", "environment.json"}


def test_what_mattered_is_shown_once_a_sweep_has_ended(story, tmp_path):
    """The parent has figures and a picture, not before the end; a broken artifact store gets them later."""
    for number in range(10):
        story.trial(number)
        story.rung(number, 1, 10, 5.0 + number, PRUNED)
    artifacts, away = tmp_path / "artifacts", tmp_path / "away"
    uri = new_database(tmp_path / "mlflow.db")
    mirror = Mirror(story.service, uri, artifact_root=str(artifacts))
    mirror.sync(story.sweep_id)
    assert set(shown(uri, story.sweep_id, tmp_path)[None].artifacts) == {"spec.json"}
    story.service.finish(story.claim, SweepState.STOPPING, None, story.tick())
    story.service.finish(story.claim, SweepState.COMPLETED, None, story.tick())
    artifacts.rename(away)
    artifacts.write_text("a file where a directory should be")
    with pytest.raises(MirrorUnavailable):
        mirror.sync(story.sweep_id)
    artifacts.unlink()
    away.rename(artifacts)
    mirror.sync(story.sweep_id)
    parent = shown(uri, story.sweep_id, tmp_path)[None]
    assert set(parent.artifacts) == {"spec.json", "importance.json", "importance.png"}
    sweep, trials = story.service.sweep(story.sweep_id), story.service.trials(story.sweep_id)
    found = importances(sweep.spec, trials, story.service.measurements(story.sweep_id))
    assert json.loads(parent.artifacts["importance.json"]) == importance_document(found)
    assert [knob.name for knob in found[0].knobs] == ["solver.base_lr"]
    assert parent.status == "FINISHED"


def test_a_warm_start_is_told_by_tags(story, embedded, tmp_path):
    """The parent says what was taken over, and a re-run whose trial it tries again; others say nothing."""
    origin = Origin("parts-old", 4)
    summary = WarmSummary(("parts-old",), {"parts-old": 18}, (origin,), {"another base": 1}, {})
    spec = story.service.sweep(story.sweep_id).spec
    sweep = story.service.create(spec, fingerprint="f1" * 32, now=story.tick(), warm=WarmPlan(summary))
    story.short()
    story.sweep_id, story.claim = sweep.sweep_id, story.service.claim(sweep.sweep_id, story.tick())
    story.short()
    embedded.sync(sweep.sweep_id)
    seen = shown(uri_of(embedded), sweep.sweep_id, tmp_path)
    assert seen[None].tags["masksweep.warm_start"] == (
        "18 trials known from parts-old, 1 to re-run first (another base)"
    )
    assert seen[(0, 1)].tags["masksweep.rerun_of"] == "parts-old/4"
    assert "masksweep.rerun_of" not in seen[(1, 1)].tags


def test_what_was_mirrored_whole_does_not_lag(story, tmp_path):
    """Neither in the middle of a sweep nor after its end, whatever comes that is never shipped."""
    uri, artifacts = new_database(tmp_path / "mlflow.db"), str(tmp_path / "artifacts")
    mirror = Mirror(story.service, uri, artifact_root=artifacts, clock=story.tick)

    def lag() -> float:
        (shown,) = totals(story.service.engine, story.tick() + 3600.0).shown
        return shown.lag_s

    assert lag() > 3600.0
    story.first_half()
    mirror.sync(story.sweep_id)
    assert lag() == 0.0
    story.rung(4, 1, 20, 13.0)
    assert lag() > 3600.0
    story.service.finish(story.claim, SweepState.CANCELLED, "enough", story.tick())
    mirror.sync(story.sweep_id)
    assert lag() == 0.0
