import os
import shlex
import sys

import pytest

from sweeps.invocation import command, mlflow_place, program
from sweeps.settings import Settings


@pytest.fixture
def bin_directory(tmp_path):
    """A directory with the two programs."""
    directory = tmp_path / "my env" / "bin"
    directory.mkdir(parents=True)
    for name in ("masksweep", "mlflow"):
        (directory / name).touch(mode=0o755)
    return directory


def test_a_program_on_the_path_is_called_by_its_name(bin_directory):
    """What a shell finds needs no path."""
    called = str(bin_directory / "masksweep")
    assert program("mlflow", called, path=str(bin_directory)) == "mlflow"


def test_a_program_that_is_not_on_the_path_is_called_as_this_one_was(bin_directory, monkeypatch):
    """After `make demo` both are in .venv/bin, which is nobody's PATH; blanks are quoted."""
    monkeypatch.chdir(bin_directory.parent.parent)
    assert program("mlflow", "my env/bin/masksweep", path="/nowhere") == "'my env/bin/mlflow'"
    assert program("masksweep", "my env/bin/masksweep", path="/nowhere") == "'my env/bin/masksweep'"


def test_another_program_of_that_name_is_not_meant(bin_directory, tmp_path):
    """PATH may lead to another environment's."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "mlflow").touch(mode=0o755)
    called = str(bin_directory / "masksweep")
    assert program("mlflow", called, path=str(other)) == shlex.quote(str(bin_directory / "mlflow"))


def test_python_m_leads_to_the_programs_of_its_interpreter():
    """`python -m sweeps.cli` is called by a file that is no program."""
    called = "/somewhere/sweeps/cli/__main__.py"
    beside = os.path.join(os.path.dirname(sys.executable), "mlflow")
    assert program("mlflow", called, path="/nowhere") == shlex.quote(beside)


def test_a_command_names_the_home_and_can_be_typed_as_printed(tmp_path):
    """Blanks in a home do not tear the command apart."""
    line = command(
        Settings.load(tmp_path / "my home", environ={}), "resume", "parts-abc", called_as="masksweep"
    )
    assert shlex.split(line) == ["masksweep", "resume", "parts-abc", "--home", str(tmp_path / "my home")]


def test_the_default_home_is_not_named():
    """What is found without an option needs none."""
    assert command(Settings.load(), "ls", called_as="masksweep") == "masksweep ls"


def test_a_tracking_server_is_no_database():
    """`mlflow ui` on a server's address would make a file of that name."""
    assert mlflow_place("http://tracking:5000") == "http://tracking:5000"
    words = shlex.split(mlflow_place("sqlite:////my home/mlflow.db"))
    assert words[-3:] == ["ui", "--backend-store-uri", "sqlite:////my home/mlflow.db"]
