"""What the repository promises as a whole: light imports, honest metadata, nothing of anybody's machine."""

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("search_spaces", "sweeps", "runners")
HEAVY = ("torch", "torchvision", "detectron2", "fvcore", "ray", "hotcoco", "pycocotools")

# Run first in a fresh interpreter: makes the heavy packages impossible to import.
WITHOUT_HEAVY = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""


def run_python(code: str) -> str:
    """Standard output of a fresh interpreter that must succeed."""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tracked() -> list[Path]:
    """Files under version control that are there, or none outside a checkout."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def project() -> dict[str, dict[str, object]]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


@pytest.mark.parametrize("module", ["search_spaces", "search_spaces.presets", "sweeps", "sweeps.cli.app"])
def test_the_service_imports_nothing_heavy(module: str) -> None:
    """Specs, the store and the command line start without torch, Ray and Detectron2, installed or not."""
    code = f"import sys, {module}; print(*sorted(set(sys.modules) & set({HEAVY})))"
    assert run_python(code) == "\n"


def test_every_module_of_the_service_imports_where_the_heavy_packages_are_absent() -> None:
    """`pip install masksweep` without its extras is enough for all of `search_spaces` and `sweeps`."""
    code = (
        WITHOUT_HEAVY
        + """
import importlib, pkgutil, search_spaces, sweeps
count = 0
for package in (search_spaces, sweeps):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("migrations.env"):  # Alembic runs that one, nobody imports it
            importlib.import_module(module.name)
            count += 1
print(count > 20)
"""
    )
    assert run_python(code) == "True\n"


def test_commands_that_need_no_workers_run_where_the_heavy_packages_are_absent() -> None:
    """The knob table can be listed on a machine that holds the service alone."""
    code = (
        WITHOUT_HEAVY
        + "sys.argv = ['masksweep', 'knobs', '--json']\nfrom sweeps.cli.app import main\nsys.exit(main())"
    )
    assert "mask_head.upsample_stride" in run_python(code)


@pytest.mark.parametrize(
    ("command", "said"),
    [(["--help"], "schedule"), (["--server", "http://127.0.0.1:1", "ls"], "does not answer")],
)
def test_what_asks_a_service_imports_no_database(command: list[str], said: str) -> None:
    """Half of a second that a person would wait for."""
    code = (
        f"import sys\nsys.argv = ['masksweep', *{command}]\nfrom sweeps.cli.app import main\n"
        "try:\n    main()\nfinally:\n    assert 'sqlalchemy' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=ROOT)
    assert said in done.stdout + done.stderr
    assert "AssertionError" not in done.stderr


@pytest.mark.parametrize("command", [["run", "spec.yaml"], ["resume", "parts"]])
def test_a_sweep_without_the_workers_extra_is_refused_before_anything(
    command: list[str], tmp_path: Path
) -> None:
    """`run` and `resume` of the service alone exit with 2, say what to install and create nothing."""
    home = tmp_path / "home"
    code = WITHOUT_HEAVY + (
        f"sys.argv = ['masksweep', *{command}, '--home', {str(home)!r}]\n"
        "from sweeps.cli.app import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (
        2,
        "error: this needs ray, torch, torchvision, detectron2, hotcoco, pycocotools: not installed\n"
        "\nhint: pip install 'masksweep[runners]', and Detectron2 as the README says\n",
    )
    assert not home.exists()


def test_every_dependency_is_pinned_at_a_version_that_is_allowed() -> None:
    """constraints.txt names what was tested for each dependency and extra, and names no local path."""
    metadata = project()["project"]
    requirements = [Requirement(line) for line in metadata["dependencies"]]
    requirements += [
        Requirement(line) for extra in metadata["optional-dependencies"].values() for line in extra
    ]
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)] == []
    pins = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    wrong = [
        str(r) for r in requirements if not r.specifier.contains(pins.get(canonicalize_name(r.name), "0"))
    ]
    assert wrong == []


def test_every_data_file_of_a_package_is_in_the_wheel() -> None:
    """A tracked file that is no module matches a pattern of package-data, so an installed copy has it too."""
    patterns = [
        f"{package}/{pattern}"
        for package, globs in project()["tool"]["setuptools"]["package-data"].items()
        for pattern in globs
    ]
    names = [path.relative_to(ROOT).as_posix() for path in tracked()]
    data = [
        name
        for name in names
        if name.startswith(tuple(f"{p}/" for p in PACKAGES)) and not name.endswith(".py")
    ]
    assert [name for name in data if not any(fnmatch(name, pattern) for pattern in patterns)] == []


MACHINE = {
    "a path of one machine": r"(?<![\w.~$}])/(?:work|root|home/(?!ray\b)\w+|Users)/",
    "a package index": r"pypi\.org|pythonhosted\.org|file:///opt|registry\.npmjs",
    "something outside this repository": r"\.\./shared\b",
    "a secret": r"AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|\bgh[pousr]_[A-Za-z0-9]{30,}"
    r"|\bhf_[A-Za-z0-9]{30,}|\bsk-[A-Za-z0-9]{32,}|xox[baprs]-[0-9A-Za-z-]{10,}",
}


@pytest.mark.parametrize("what", MACHINE)
def test_no_tracked_file_holds(what: str) -> None:
    """The repository is free of paths, hosts and secrets of the machines that it was made on."""
    pattern = re.compile(MACHINE[what])
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked()
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(("name", "most"), [("README.md", 149), ("ARCHITECTURE.md", 199)])
def test_pages_stay_short(name: str, most: int) -> None:
    """The pages that a newcomer reads first can be read in one sitting."""
    page = ROOT / name
    if not page.exists():
        pytest.skip(f"there is no {name}")
    assert len(page.read_text(encoding="utf-8").splitlines()) <= most


def test_no_module_passes_400_lines() -> None:
    """A module that long has become two."""
    modules = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert [str(path) for path in modules if len(path.read_text(encoding="utf-8").splitlines()) > 400] == []


def test_setup_names_what_is_wrong_with_an_interpreter(tmp_path: Path) -> None:
    """An interpreter that is too old ends `make setup` with one clear message and makes nothing."""
    old = tmp_path / "python3.8"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.8.10\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run(
        ["bash", str(ROOT / ".ci" / "setup")],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHON": str(old), "VENV": str(tmp_path / "venv")},
    )
    assert (
        done.stderr.splitlines()[0]
        == f"error: PYTHON={old} is Python 3.8.10, and Python 3.11 or later is needed"
    )
    assert (done.returncode, (tmp_path / "venv").exists()) == (1, False)
