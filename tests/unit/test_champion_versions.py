"""`masksweep champion` with `--version`: any champion that a schedule has had, where its files are."""

import json
from pathlib import Path

import pytest

from runners.checkpoints import write_checkpoint
from sweeps.champion_files import RESTORING, ChampionDamaged
from sweeps.cli.champions import export_champion, predict_images, show_champion
from sweeps.core.errors import UnknownChampion, UserError
from sweeps.core.replicates import replicate_number
from sweeps.core.trial import Suggestion
from sweeps.testing import COMPLETED, make_report, make_spec
from tests.nights import SCHEDULE, Nights

SETTINGS = ("mask_threshold", "score_threshold", "nms_threshold", "detections_per_image")


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """Two champions, v1 and v2."""
    world = Nights(tmp_path_factory.mktemp("home"))
    for rate in world.rates():
        world.judge(world.night(rate))
    return world


@pytest.fixture
def home(nights):
    return nights.settings.home


@pytest.mark.parametrize(("version", "exported"), [(1, 1), (2, 2), (None, 2)])
def test_any_champion_is_exported(home, tmp_path, version, exported):
    """The reigning one where none is named."""
    export_champion(SCHEDULE, version, tmp_path / "model", home, as_json=False)
    assert json.loads((tmp_path / "model" / "champion.json").read_text())["version"] == exported


def test_any_champion_is_shown(home, capsys):
    """With the verdicts of its schedule."""
    show_champion(SCHEDULE, 1, home, None, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["champion"]["version"], len(shown["verdicts"])) == (1, 2)


def test_a_version_that_never_was_is_told_with_those_there_are(home, tmp_path):
    """Nothing is written."""
    with pytest.raises(UnknownChampion, match="nightly has had no champion v3") as told:
        export_champion(SCHEDULE, 3, tmp_path / "model", home, as_json=False)
    assert told.value.hint == "there are v1 to v2"
    assert not (tmp_path / "model").exists()


def test_a_version_whose_files_are_gone_is_told_with_those_that_are_here(home, nights, tmp_path, capsys):
    """By `export` as an error, by `show` beside the directory."""
    directory = nights.settings.champion_directory(SCHEDULE) / "v1"
    moved = directory.rename(tmp_path / "elsewhere")
    try:
        with pytest.raises(UserError, match="champion v1 of nightly is not here: no such directory") as told:
            export_champion(SCHEDULE, 1, tmp_path / "model", home, as_json=False)
        assert told.value.hint == "its files are where its sweep ran; here are the files of v2"
        show_champion(SCHEDULE, 1, home, None, as_json=False)
        assert f"{directory} (not here any more)" in capsys.readouterr().out
    finally:
        moved.rename(directory)


@pytest.fixture
def trained(tmp_path):
    """A home whose champion has the files of a trained model, and of a second run."""
    data = tmp_path / "val.json"
    data.write_text(json.dumps({"categories": [{"id": 1, "name": "gear"}]}))
    split = {"annotations": str(data), "images": str(tmp_path)}
    spec = make_spec(dataset={"train": split, "val": split}, replicates={"runs": 2, "finalists": 1})
    world = Nights(tmp_path / "home")
    claim = world.night(spec=spec)
    metrics = {"segm/AP": 50.0, **{f"settings/{name}": 0.5 for name in SETTINGS}}
    for number, more in ((0, {}), (replicate_number(0, 1), {"replicate_of": 0})):

        def write(directory, number=number):
            for name in ("model.pth", "config.yaml"):
                (directory / name).write_text(f"NAME: {name} of {number}")

        checkpoint = write_checkpoint(tmp_path / f"trial{number}", "e1a1i0000300", write)
        world.service.add_trial(claim, Suggestion(number, {}, number), {}, world.clock.tick(), **more)
        report = make_report(number, 1, 300, metrics=metrics, checkpoint=str(checkpoint))
        world.service.record(claim, report, outcome=COMPLETED, sampler_attrs=None, now=world.clock.tick())
    verdict = world.judge(claim)
    assert verdict.decision.crowns, verdict
    return world


def _flip(path):
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "case",
    [
        ("model.pth", _flip, "model.pth is damaged"),
        ("config.yaml", Path.unlink, "config.yaml is gone"),
        ("settings.json", lambda path: path.write_text(""), "settings.json is damaged"),
        ("contents.json", lambda path: path.write_text("["), "contents.json is damaged, which tells"),
        ("contents.json", Path.unlink, "contents.json is gone, which tells"),
    ],
)
def test_a_damaged_champion_is_neither_exported_nor_used(trained, tmp_path, capsys, case):
    """Which file it is, and what to do, is said by all three commands; nothing half-copied is left."""
    name, harm, told = case
    directory, home = trained.settings.champion_directory(SCHEDULE) / "v1", trained.settings.home
    out = tmp_path / "out"
    harm(directory / name)
    with pytest.raises(ChampionDamaged, match=told) as refused:
        export_champion(SCHEDULE, None, out / "model", home, as_json=False)
    assert str(refused.value).startswith("champion v1 of nightly is not what was promoted: ")
    assert refused.value.hint == RESTORING
    assert not out.exists()
    with pytest.raises(ChampionDamaged, match=told):
        predict_images(SCHEDULE, None, [tmp_path / "a.png"], out, home, as_json=False)
    assert not out.exists()
    show_champion(SCHEDULE, None, home, None, as_json=False)
    said = capsys.readouterr()
    assert f"damaged     {told}" in said.out
    assert RESTORING in said.err
    show_champion(SCHEDULE, None, home, None, as_json=True)
    (damage,) = json.loads(capsys.readouterr().out)["damage"]
    assert damage.startswith(told)


def test_a_run_that_only_comparisons_need_keeps_no_model_from_use(trained, tmp_path, capsys):
    """`show` says that it is damaged; the model itself is whole, and is exported."""
    directory, home = trained.settings.champion_directory(SCHEDULE) / "v1", trained.settings.home
    _flip(directory / "run2-model.pth")
    export_champion(SCHEDULE, None, tmp_path / "model", home, as_json=False)
    exported = sorted(path.name for path in (tmp_path / "model").iterdir())
    assert exported == ["champion.json", "config.yaml", "model.pth", "settings.json", "spec.json"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    show_champion(SCHEDULE, None, home, None, as_json=False)
    assert "damaged     run2-model.pth is damaged" in capsys.readouterr().out


def test_what_cannot_be_copied_leaves_nothing(trained, tmp_path):
    """A file in the way is told, and no scrap stays beside it."""
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"champion v1 cannot be copied to .*/file/model: "):
        export_champion(SCHEDULE, None, tmp_path / "file" / "model", trained.settings.home, as_json=False)
