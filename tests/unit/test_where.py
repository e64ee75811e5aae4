"""Which commands a service does."""

from pathlib import Path

import pytest
from typer.main import get_command

from sweeps.cli.app import app
from sweeps.cli.where import LOCAL, REMOTE, REMOTE_IF_NAMED, choose_server, service_client
from sweeps.core.errors import UserError

COMMANDS = sorted(get_command(app).commands)
API_PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()


@pytest.fixture(autouse=True)
def named():
    """A service is named on the command line; afterwards none is."""
    yield
    choose_server(None, None)


def test_every_command_is_a_services_or_says_why_not():
    """Each stands in one table, and none stands there that is no command."""
    assert sorted([*REMOTE, *REMOTE_IF_NAMED, *LOCAL]) == COMMANDS


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"drive"}))
def test_the_page_of_the_api_has_every_command(command):
    """With what a service does for it, or why none can."""
    heads = [line.split("|")[1] for line in API_PAGE.splitlines() if line.startswith("| `")]
    assert any(f"`{command}`" in head for head in heads)


@pytest.mark.parametrize("command", sorted(LOCAL))
def test_what_works_here_alone_is_refused_with_its_reason(command):
    """In one line, before anything is done."""
    with pytest.raises(UserError, match=f"{command} works on this machine: {LOCAL[command]}"):
        choose_server("http://127.0.0.1:1", command)


def test_the_environment_is_for_the_commands_on_sweeps(monkeypatch):
    """The first token is made on the store, whatever MASKSWEEP_SERVER says; --server is always meant."""
    monkeypatch.setenv("MASKSWEEP_SERVER", "http://127.0.0.1:1")
    choose_server(None, "token")
    assert service_client(None, if_named=True) is None
    assert service_client(Path("/home"), if_named=False) is None
    there = service_client(None)
    assert there is not None
    assert there.url == "http://127.0.0.1:1"
    choose_server("http://127.0.0.1:2", "token")
    with pytest.raises(UserError, match="got --server and --home"):
        service_client(Path("/home"), if_named=True)
