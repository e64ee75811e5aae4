"""Where things are kept."""

import sqlite3
from pathlib import Path

import pytest

from sweeps.bootstrap import open_service
from sweeps.core.errors import UserError
from sweeps.settings import DEFAULT_HOME, Settings
from sweeps.tracking.client import Tracker

ODD = ["a?b", "50%", "50%25", "a%3Fb", "a#b", "a b?c%20d"]


@pytest.mark.parametrize("name", ODD)
def test_the_store_of_an_oddly_named_home_is_in_that_home(tmp_path, name):
    """Characters that mean something in a URL are part of a directory's name here."""
    settings = Settings.load(tmp_path / name, environ={})
    assert not settings.has_store
    open_service(settings, create=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert sqlite3.connect(tmp_path / name / "masksweep.db").execute(
        "SELECT count(*) FROM sweeps"
    ).fetchone() == (0,)
    assert settings.has_store


def test_a_store_url_with_options_is_looked_for_without_them(tmp_path):
    """What stands behind the question mark of a given URL is not the file's name."""
    (tmp_path / "own.db").touch()
    for url, there in (
        (f"sqlite:///{tmp_path}/own.db?timeout=3", True),
        (f"sqlite:///{tmp_path}/no.db", False),
    ):
        assert Settings.load(tmp_path, environ={"MASKSWEEP_STORE_URL": url}).has_store is there


def test_a_secret_may_be_in_a_file(tmp_path):
    """`NAME_FILE` names it; `NAME` itself comes first, and a file that is not there is said to be missing."""
    (tmp_path / "url").write_text("postgresql://sweeps@db/sweeps\n")
    environ = {"MASKSWEEP_STORE_URL_FILE": str(tmp_path / "url")}
    assert Settings.load(tmp_path, environ=environ).store_url == "postgresql://sweeps@db/sweeps"
    environ["MASKSWEEP_STORE_URL"] = "sqlite:////own.db"
    assert Settings.load(tmp_path, environ=environ).store_url == "sqlite:////own.db"
    with pytest.raises(UserError, match=r"MASKSWEEP_STORE_URL_FILE: .* cannot be read: No such file"):
        Settings.load(tmp_path, environ={"MASKSWEEP_STORE_URL_FILE": str(tmp_path / "none")})


def test_data_roots_are_directories(tmp_path):
    """Colons stand between them; a slip is told before it forbids everything."""
    (tmp_path / "a").mkdir()
    environ = {"MASKSWEEP_DATA_ROOTS": f"{tmp_path / 'a'}:{tmp_path}"}
    assert Settings.load(tmp_path, environ=environ).data_roots == (tmp_path / "a", tmp_path)
    with pytest.raises(UserError, match=r"MASKSWEEP_DATA_ROOTS: .*nowhere is no directory"):
        Settings.load(tmp_path, environ={"MASKSWEEP_DATA_ROOTS": f"{tmp_path}/nowhere"})


def test_an_empty_variable_is_as_good_as_none():
    """MASKSWEEP_HOME= names no directory, so the default holds."""
    assert Settings.load(environ={"MASKSWEEP_HOME": ""}).home == Path(DEFAULT_HOME).resolve()


def test_the_home_of_nobody_is_told():
    """`~` with a name that no user has is a mistake to be told of."""
    with pytest.raises(UserError) as caught:
        Settings.load(Path("~nosuchuser/x"), environ={})
    assert str(caught.value).startswith("the home ~nosuchuser/x cannot be found: ")


@pytest.mark.slow
def test_mlflow_of_an_oddly_named_home_is_in_that_home(tmp_path):
    """MLflow's database goes where the store's does; an empty directory beside it is MLflow's own."""
    name = "a b?c%20d"
    settings = Settings.load(tmp_path / name, environ={})
    settings.home.mkdir()
    Tracker(settings.tracking_uri, settings.artifact_root).experiment("parts")
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("mlflow.db")] == [Path(name, "mlflow.db")]


NAMES = ("MASKSWEEP_STORE_URL", "MLFLOW_TRACKING_URI")


@pytest.mark.parametrize("name", NAMES)
def test_a_secret_is_read_from_a_file(tmp_path, name):
    """NAME_FILE names the file that holds NAME, with the line end that editors leave."""
    file = tmp_path / "secret"
    file.write_text("postgresql+psycopg://me:p%40ss@db/x\n")
    found = Settings.load(tmp_path, environ={f"{name}_FILE": str(file)})
    assert "postgresql+psycopg://me:p%40ss@db/x" in (found.store_url, found.tracking_uri)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "{name}_FILE: {file} cannot be read: No such file or directory"),
        (b"\xff", "{name}_FILE: {file} cannot be read: it is no UTF-8 text"),
        (b" \n", "{name}_FILE: {file} is empty"),
    ],
)
def test_a_secret_that_is_not_there_is_no_default(tmp_path, name, content, said):
    """Else a service with a broken secret would quietly keep a store of its own."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError) as raised:
        Settings.load(tmp_path, environ={f"{name}_FILE": str(file)})
    assert str(raised.value) == said.format(name=name, file=file)


def test_a_variable_counts_before_the_file_of_one(tmp_path):
    """What a launcher hands to a driver holds, whatever the environment of its node names."""
    environ = {"MASKSWEEP_STORE_URL": "sqlite:///x.db", "MASKSWEEP_STORE_URL_FILE": "/nowhere"}
    assert Settings.load(tmp_path, environ=environ).store_url == "sqlite:///x.db"
