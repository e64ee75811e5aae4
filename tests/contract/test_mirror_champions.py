"""Champions in a real MLflow's model registry."""

import pytest
from mlflow import MlflowClient

from sweeps.tracking.errors import MirrorUnavailable
from sweeps.tracking.mirror import Mirror
from sweeps.tracking.picture import SWEEP_TAG
from sweeps.tracking.testing import new_database
from tests.nights import SCHEDULE, Nights

MODEL = f"masksweep-{SCHEDULE}"


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """Two champions, of two sweeps."""
    world = Nights(tmp_path_factory.mktemp("home"))
    bad, good = world.rates()
    world.judge(world.night(bad))
    world.judge(world.night(good))
    return world


def mirror_of(world, directory, name="mlflow"):
    uri = new_database(directory / f"{name}.db")
    return Mirror(world.service, uri, artifact_root=str(directory / "artifacts")), MlflowClient(uri)


def shown(client):
    """Our versions with their sweeps, the one that has the alias, and how many MLflow has."""
    made = client.search_model_versions(f"name='{MODEL}'")
    found = {each.tags["masksweep.champion"]: each.tags[SWEEP_TAG] for each in made}
    alias = client.get_model_version_by_alias(MODEL, "champion").tags["masksweep.champion"]
    return found, alias, len(made)


def test_each_champion_is_a_version_and_the_newest_has_the_alias(nights, tmp_path):
    """With its run and its files; in whatever order sweeps are mirrored, and however often."""
    mirror, client = mirror_of(nights, tmp_path)
    newest, oldest = nights.champions.champions(SCHEDULE)
    for sweep_id in (newest.sweep_id, oldest.sweep_id, newest.sweep_id, oldest.sweep_id):
        mirror.sync(sweep_id)
    versions = {"1": oldest.sweep_id, "2": newest.sweep_id}
    assert shown(client) == (versions, "2", 2)
    made = client.get_model_version_by_alias(MODEL, "champion")
    run = client.get_run(made.run_id)
    assert run.data.tags[SWEEP_TAG] == newest.sweep_id
    place = f"champion/{SCHEDULE}-v2"
    assert made.source == f"{run.info.artifact_uri}/{place}"
    there = [item.path.rpartition("/")[2] for item in client.list_artifacts(made.run_id, place)]
    assert there == ["champion.json", "contents.json", "spec.json"]


def test_a_mirror_that_ends_at_any_step_is_made_whole_by_the_next(nights, tmp_path):
    """No version is made twice, and the alias comes in the end."""

    class Ends(Exception):
        pass

    mirror, client = mirror_of(nights, tmp_path)
    sweep_id = nights.champions.champion(SCHEDULE).sweep_id
    steps = []
    mirror.sync(sweep_id, before_step=steps.append)
    first = next(n for n, step in enumerate(steps) if step.startswith("look for versions"))
    other, client = mirror_of(nights, tmp_path, "other")
    for last in range(first, len(steps)):
        left = iter(range(last))

        def end(step, left=left):
            if next(left, None) is None:
                raise Ends(step)

        try:
            other.sync(sweep_id, before_step=end)
        except Ends:
            continue
    other.sync(sweep_id)
    assert shown(client)[1:] == ("2", 1)


def test_a_champion_whose_files_are_elsewhere_is_told(nights, tmp_path):
    """All else is shown; the error names the directory and says where to mirror."""
    mirror, client = mirror_of(nights, tmp_path)
    champion = nights.champions.champion(SCHEDULE)
    moved = nights.settings.champion_directory(SCHEDULE).rename(tmp_path / "elsewhere")
    try:
        with pytest.raises(MirrorUnavailable, match=r"v2 of nightly cannot be registered: No such file"):
            mirror.sync(champion.sweep_id)
    finally:
        moved.rename(nights.settings.champion_directory(SCHEDULE))
    assert client.search_registered_models() == []
    mirror.sync(champion.sweep_id)
    assert shown(client)[1] == "2"
