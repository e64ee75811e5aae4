"""Champions in a real MLflow's model registry."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from sweeps.store.engine import open_engine
from sweeps.store.retiring import retire_champion
from sweeps.testing import store_url
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


def overtaken_at(step, world, rate, fast, client):
    """What a slow mirror calls before each step: at that one a second champion comes, and is mirrored."""

    def overtaken(at):
        if at == step and world.nights == 1:
            second = world.night(rate)
            world.judge(second)
            fast.sync(second.sweep_id)
            assert shown(client)[1] == "2"

    return overtaken


def test_a_slow_mirror_leaves_the_alias_with_the_champion_of_now(tmp_path):
    """Though a night is judged and mirrored after it has read who reigns, and before it sets the alias.

    On PostgreSQL: beside a SQLite store one mirror waits for the other.
    """
    engine = open_engine(store_url("postgresql", tmp_path, "slow_mirror"))
    world = Nights(tmp_path / "home", engine=engine)
    bad, good = world.rates()
    first = world.night(bad)
    world.judge(first)
    slow, client = mirror_of(world, tmp_path)
    fast = Mirror(world.service, f"sqlite:///{tmp_path / 'mlflow.db'}")

    overtaken = overtaken_at(f"set the alias of {MODEL}", world, good, fast, client)
    slow.sync(first.sweep_id, before_step=overtaken)
    engine.dispose()
    assert shown(client)[1:] == ("2", 2)


def test_what_was_deleted_or_moved_by_hand_is_mended_by_the_next_sync(nights, tmp_path):
    """An alias on another version, no alias, a version that is gone, and the whole model."""
    mirror, client = mirror_of(nights, tmp_path)
    newest, oldest = nights.champions.champions(SCHEDULE)

    def sync():
        mirror.sync(newest.sweep_id)
        mirror.sync(oldest.sweep_id)
        return shown(client)

    right = sync()
    old = next(
        each.version
        for each in client.search_model_versions(f"name='{MODEL}'")
        if each.tags[SWEEP_TAG] == oldest.sweep_id
    )
    client.set_registered_model_alias(MODEL, "champion", old)
    assert sync() == right
    client.delete_registered_model_alias(MODEL, "champion")
    assert sync() == right
    client.delete_model_version(MODEL, client.get_model_version_by_alias(MODEL, "champion").version)
    assert sync() == right
    client.delete_registered_model(MODEL)
    assert sync() == right
    assert right[1:] == ("2", 2)


def test_any_sweep_that_had_a_champion_mends_the_alias(nights, tmp_path):
    """Not the reigning one's alone, which may never be mirrored again."""
    mirror, client = mirror_of(nights, tmp_path)
    newest, oldest = nights.champions.champions(SCHEDULE)
    mirror.sync(newest.sweep_id)
    client.delete_registered_model_alias(MODEL, "champion")
    mirror.sync(oldest.sweep_id)
    assert shown(client)[1:] == ("2", 2)


def test_an_older_champion_alone_gets_no_alias(nights, tmp_path):
    """It comes with the mirror of the sweep whose trial reigns."""
    mirror, client = mirror_of(nights, tmp_path)
    mirror.sync(nights.champions.champions(SCHEDULE)[1].sweep_id)
    assert client.get_registered_model(MODEL).aliases == {}


def test_a_store_begun_anew_registers_its_own_champion(nights, tmp_path):
    """With the same schedule and version in the same MLflow: the alias goes to the store that is mirrored."""
    mirror, client = mirror_of(nights, tmp_path)
    for champion in nights.champions.champions(SCHEDULE):
        mirror.sync(champion.sweep_id)
    anew = Nights(tmp_path / "anew")
    claim = anew.night(anew.rates()[0])
    anew.judge(claim)
    sweep_id = claim.sweep_id
    Mirror(anew.service, f"sqlite:///{tmp_path / 'mlflow.db'}").sync(sweep_id)
    reigning = client.get_model_version_by_alias(MODEL, "champion")
    assert reigning.tags[SWEEP_TAG] == sweep_id
    assert client.get_run(reigning.run_id).data.tags[SWEEP_TAG] == sweep_id
    assert len(client.search_model_versions(f"name='{MODEL}'")) == 3


def test_a_damaged_champion_is_registered_once_its_files_are_whole_again(tmp_path, caplog):
    """Until then it is in the log once, all else is shown, and MLflow has neither version nor model of it."""
    world = Nights(tmp_path / "home")
    claim = world.night(world.rates()[1])
    world.judge(claim)
    mirror, client = mirror_of(world, tmp_path)
    spec = Path(world.champions.champion(SCHEDULE).directory) / "spec.json"
    whole = spec.read_bytes()
    spec.write_bytes(whole[:-2] + b"  ")
    for _ in range(2):
        mirror.sync(claim.sweep_id)
    again = Mirror(world.service, f"sqlite:///{tmp_path / 'mlflow.db'}")
    again.sync(claim.sweep_id)
    (told,) = [each.getMessage() for each in caplog.records if "champion v1 of nightly" in each.getMessage()]
    assert "is not registered in MLflow until it is what was promoted: spec.json is damaged" in told
    assert client.search_registered_models() == []
    spec.write_bytes(whole)
    mirror.sync(claim.sweep_id)
    assert shown(client)[1:] == ("1", 1)


def test_the_alias_is_taken_from_a_champion_that_was_retired(tmp_path):
    """By the mirror of the sweep that it came of, or of a later night; its version stays."""
    world = Nights(tmp_path / "home")
    bad, good = world.rates()
    first = world.night(good)
    world.judge(first)
    mirror, client = mirror_of(world, tmp_path)
    mirror.sync(first.sweep_id)
    retire_champion(world.engine, SCHEDULE, by="ann", now=world.clock.tick())
    empty = world.night()
    world.judge(empty)
    for sweep_id in (first.sweep_id, empty.sweep_id):
        client.set_registered_model_alias(MODEL, "champion", "1")
        mirror.sync(sweep_id)
        assert client.get_registered_model(MODEL).aliases == {}
    later = world.night(bad)
    world.judge(later)
    mirror.sync(later.sweep_id)
    versions = {"1": first.sweep_id, "2": later.sweep_id}
    assert shown(client) == (versions, "2", 2)


def test_a_retired_champion_whose_files_are_gone_holds_up_no_mirror(tmp_path):
    """It was not registered, and never will be."""
    world = Nights(tmp_path / "home")
    claim = world.night(world.rates()[1])
    world.judge(claim)
    mirror, client = mirror_of(world, tmp_path)
    Path(world.champions.champion(SCHEDULE).directory).rename(tmp_path / "gone")
    retire_champion(world.engine, SCHEDULE, by="ann", now=world.clock.tick())
    mirror.sync(claim.sweep_id)
    assert client.search_registered_models() == []


def test_an_alias_on_another_stores_champion_is_left_alone(nights, tmp_path):
    """Though a schedule of that name was left without a champion here."""
    mirror, client = mirror_of(nights, tmp_path)
    mirror.sync(nights.champions.champion(SCHEDULE).sweep_id)
    other = Nights(tmp_path / "other")
    claim = other.night(other.rates()[0])
    other.judge(claim)
    retire_champion(other.engine, SCHEDULE, by="ann", now=other.clock.tick())
    Mirror(other.service, f"sqlite:///{tmp_path / 'mlflow.db'}").sync(claim.sweep_id)
    _, alias, count = shown(client)
    assert (alias, count) == ("2", 2)


def test_a_slow_mirror_gives_the_alias_back_to_a_champion_that_came(tmp_path):
    """It read that nobody reigns, and deletes the alias that another mirror has set in the meantime.

    On PostgreSQL: beside a SQLite store one mirror waits for the other.
    """
    engine = open_engine(store_url("postgresql", tmp_path, "slow_retired"))
    world = Nights(tmp_path / "home", engine=engine)
    bad, good = world.rates()
    first = world.night(good)
    world.judge(first)
    slow, client = mirror_of(world, tmp_path)
    slow.sync(first.sweep_id)
    retire_champion(engine, SCHEDULE, by="ann", now=world.clock.tick())
    fast = Mirror(world.service, f"sqlite:///{tmp_path / 'mlflow.db'}")

    overtaken = overtaken_at(f"delete the alias of {MODEL}", world, bad, fast, client)
    slow.sync(first.sweep_id, before_step=overtaken)
    engine.dispose()
    assert shown(client)[1:] == ("2", 2)
