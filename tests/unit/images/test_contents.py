"""What the images are made of, by the requirement lines of their Dockerfiles."""

import ast
import fnmatch
import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions, requires

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.image_files import DOCKERFILES, ROOT, closure, instructions, last, pip_commands, project

HEAVY = {"torch", "torchvision", "ray", "detectron2", "fvcore", "triton"}


def modules_of(packages):
    """Top-level modules that these distributions provide."""
    return {
        module
        for module, names in packages_distributions().items()
        if any(canonicalize_name(name) in packages for name in names)
    }


def test_neither_torch_nor_ray_nor_detectron2_can_be_imported_in_the_service_image():
    """None is in what its pip lines resolve to, and no package there provides a module of that name."""
    packages = closure("service")
    assert set() == HEAVY & set(packages)
    assert set() == HEAVY & modules_of(packages)
    assert {"sqlalchemy", "psycopg", "mlflow", "typer"} <= set(packages)
    assert {"torch", "ray"} <= set(closure("worker"))  # so that the resolution is seen to find them


def test_all_that_the_service_imports_is_in_its_image():
    """An optional extra that `sweeps` came to need has to be named in the Dockerfile."""
    provided = modules_of(closure("service")) | set(sys.stdlib_module_names) | {"search_spaces", "sweeps"}
    missing = set()
    for package in ("search_spaces", "sweeps"):
        for file in (ROOT / package).rglob("*.py"):
            if file.name == "testing.py":  # only tests import it
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                missing |= {(file.name, name) for name in names if name.partition(".")[0] not in provided}
    assert set() == missing


@pytest.mark.parametrize("image", DOCKERFILES)
def test_what_an_image_installs_is_pinned_by_the_constraints(image):
    """Each of its packages has a pin, at the version tested here; CUDA's come with torch's own pins."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    loose = {
        name: version
        for name, version in closure(image).items()
        if pins.get(name) != version and not re.match(r"cuda-|nvidia-|triton$", name)
    }
    assert loose == {}


@pytest.mark.parametrize("image", DOCKERFILES)
def test_pip_installs_under_the_constraints_alone(image):
    """No version is named in a Dockerfile, and isolated builds are constrained as well."""
    text = DOCKERFILES[image].read_text()
    for words in pip_commands(image):
        assert words[0] == "wheel" or words[1:3] == ["-c", "constraints.txt"]
        assert not any("==" in word for word in words)
    assert text.index("PIP_CONSTRAINT=/src/constraints.txt") < text.index("pip install")


def test_base_images_are_pinned_to_a_version():
    """Python as masksweep requires it, and the CUDA that the pinned torch is built for."""
    froms = [
        one.rest.split()[0] for image in DOCKERFILES for one in instructions(image) if one.name == "FROM"
    ]
    pythons = {name for name in froms if name.startswith("python:")}
    assert len(pythons) == 1
    version = re.fullmatch(r"python:(\d+\.\d+\.\d+)-slim-\w+", pythons.pop())[1]
    assert version in SpecifierSet(project()["requires-python"])
    cudas = {
        re.fullmatch(r"nvidia/cuda:(\d+\.\d+)\.\d+-(runtime|devel)-ubuntu24.04", name)
        for name in froms
        if "/" in name
    }
    assert {"runtime", "devel"} == {found[2] for found in cudas}
    toolkit = [need for need in map(Requirement, requires("torch")) if need.name == "cuda-toolkit"]
    if not toolkit:
        pytest.skip("this torch is built without CUDA")
    assert {".".join(str(toolkit[0].specifier)[2:].split(".")[:2])} == {found[1] for found in cudas}


@pytest.mark.parametrize("image", DOCKERFILES)
def test_an_image_does_not_run_as_root(image):
    """By number, so that an orchestrator can tell; the same in both, since both write to the home."""
    assert last(image, "USER") == "10001"
    text = DOCKERFILES[image].read_text()
    assert "useradd --uid 10001" in text
    home = re.search(r"MASKSWEEP_HOME=(\S+)", text)[1]
    assert re.search(rf"install -d -o masksweep -g masksweep .*{home}\b", text)


def test_the_health_checks_ask_what_is_served():
    """The service at the port that it exposes and is started with; a Ray node at its agent's."""
    from ray._private.ray_constants import DEFAULT_DASHBOARD_AGENT_LISTEN_PORT

    port = last("service", "EXPOSE")
    assert f"http://127.0.0.1:{port}/healthz" in last("service", "HEALTHCHECK")
    assert port in json.loads(last("service", "CMD"))
    agent = f"http://127.0.0.1:{DEFAULT_DASHBOARD_AGENT_LISTEN_PORT}/api/local_raylet_healthz"
    assert agent in last("worker", "HEALTHCHECK")
    started = " ".join(json.loads(last("worker", "CMD")))
    assert all(f"port={port}" in started for port in last("worker", "EXPOSE").split())
    for image in DOCKERFILES:  # what Python is given is Python
        command = json.loads(last(image, "HEALTHCHECK").partition("CMD ")[2])
        ast.parse(command[command.index("-c") + 1])


def ignored(path, patterns):
    """Whether .dockerignore keeps a path out: the last pattern that matches it or what it is in decides."""
    out = False
    for pattern in patterns:
        plain = pattern.lstrip("!").removeprefix("**/")
        parts = path.split("/")
        above = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        if any(fnmatch.fnmatch(name, plain) for name in (parts if "**/" in pattern else above)):
            out = not pattern.startswith("!")
    return out


def test_what_is_copied_exists_and_is_let_in():
    """Every COPY from the build context names what is there and .dockerignore lets through."""
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    for image in DOCKERFILES:
        for one in instructions(image):
            if one.name == "COPY" and not one.rest.startswith("--from"):
                for source in one.rest.split()[:-1]:
                    assert (ROOT / source).exists(), source
                    assert not ignored(source, patterns), source
    for outside in (
        ".git/config",
        ".venv/bin/python",
        "docker/secrets/ray_token",
        "docker/compose.yaml",
        "tests/game.py",
    ):
        assert ignored(outside, patterns), outside
    assert ignored("sweeps/__pycache__/x.pyc", patterns)
    assert not ignored("docker/detectron2/shim/fetch.py", patterns)
    secret = subprocess.run(
        ["git", "check-ignore", "-q", "docker/secrets/ray_token"], check=False, cwd=ROOT, capture_output=True
    )
    assert secret.returncode in (0, 128)  # 128: not a checkout
