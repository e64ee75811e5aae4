"""`masksweep champion` with `--version`: any champion that a schedule has had, where its files are."""

import json

import pytest

from sweeps.cli.champions import export_champion, show_champion
from sweeps.core.errors import UnknownChampion, UserError
from tests.nights import SCHEDULE, Nights


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
