"""`masksweep champion retire`, and what the other commands say of a champion that was retired."""

import json

import pytest
from typer.testing import CliRunner

from sweeps.cli.app import app
from sweeps.cli.champions import export_champion, list_champions, retire, show_champion
from sweeps.core.errors import UserError, WrongState
from tests.nights import SCHEDULE, Nights


@pytest.fixture
def nights(tmp_path):
    """One champion, v1."""
    world = Nights(tmp_path / "home")
    world.judge(world.night(world.rates()[1]))
    return world


def test_a_champion_is_retired_and_the_commands_tell_who_did_it_and_why(nights, tmp_path, capsys):
    """Not for a champion that there never was; what is left of it can be had by its version."""
    home = nights.settings.home
    retire(SCHEDULE, None, "its weights are lost", home, None, as_json=False)
    said = capsys.readouterr()
    assert said.out.startswith("champion v1 of nightly was retired by ")
    assert said.out.endswith(": its weights are lost\n")
    assert f"masksweep mirror {nights.champions.last(SCHEDULE).sweep_id}" in said.err
    show_champion(SCHEDULE, None, home, None, as_json=False)
    shown = capsys.readouterr().out
    assert shown.startswith("schedule nightly has no champion: v1 of nightly was retired by ")
    assert ": its weights are lost\n" in shown
    assert "FIRST" in shown
    show_champion(SCHEDULE, 1, home, None, as_json=False)
    assert "retired     v1 of nightly was retired by " in capsys.readouterr().out
    list_champions(home, None, as_json=False)
    assert "no champions" in capsys.readouterr().err
    with pytest.raises(UserError, match="nightly has no champion: v1 of nightly was retired") as told:
        export_champion(SCHEDULE, None, tmp_path / "model", home, as_json=False)
    assert told.value.hint == "--version 1 takes what is left of it"
    export_champion(SCHEDULE, 1, tmp_path / "model", home, as_json=False)


def test_json_has_the_retired_champion_until_another_one_comes(nights, capsys):
    """`champion` is null meanwhile, `retired` then."""
    home = nights.settings.home

    def shown():
        show_champion(SCHEDULE, None, home, None, as_json=True)
        return json.loads(capsys.readouterr().out)

    retire(SCHEDULE, None, None, home, None, as_json=True)
    retired = json.loads(capsys.readouterr().out)
    assert (retired["version"], retired["retired"]["reason"]) == (1, None)
    assert (shown()["champion"], shown()["retired"]) == (None, retired)
    nights.judge(nights.night(nights.rates()[0]))
    assert (shown()["champion"]["version"], shown()["retired"]) == (2, None)


def test_the_command_line_retires_the_version_that_is_meant(nights):
    """Not the one that reigns in its place: exit code 2, and nothing is changed."""
    home = str(nights.settings.home)
    words = ["champion", "retire", SCHEDULE, "--version", "1", "--reason", "gone", "--home", home]
    assert CliRunner().invoke(app, words).exit_code == 0
    for rate in nights.rates():
        nights.judge(nights.night(rate))
    with pytest.raises(WrongState, match="champion v2 of nightly does not reign: v3 came after it"):
        retire(SCHEDULE, 2, None, nights.settings.home, None, as_json=False)
    assert nights.champions.champion(SCHEDULE).version == 3


@pytest.mark.parametrize("words", [["champion", "retire"], ["schedule", "pause"]])
def test_an_empty_reason_is_refused_here_as_by_a_service(nights, words):
    """As of `cancel`: a reason is text on one line."""
    given = [*words, SCHEDULE, "--reason", " ", "--home", str(nights.settings.home)]
    refused = CliRunner().invoke(app, given).exception
    assert isinstance(refused, UserError)
    assert str(refused) == "--reason: got ' ', but needs text of 1 to 500 characters"
    assert nights.champions.champion(SCHEDULE).version == 1
