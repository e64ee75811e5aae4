"""The wheel that docker/detectron2 makes, and that an environment which has it can do what it promises."""

import csv
import importlib.util
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from base64 import urlsafe_b64encode
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docker" / "detectron2"))

from shim import BuildError, backend, fetch  # noqa: E402  (its directory is no package)
from shim.patches import PATCHES, Patch, apply_patches  # noqa: E402

sys.path.pop(0)


def installed_here() -> bool:
    """Whether this environment's Detectron2 is the wheel under test and not an official build."""
    try:
        return backend.GENERATOR in (distribution("detectron2").read_text("WHEEL") or "")
    except PackageNotFoundError:
        return False


needs_the_wheel = pytest.mark.skipif(not installed_here(), reason="another build of Detectron2 is installed")


def unpatched() -> dict[str, bytes]:
    """Files by path, each holding every text that a patch looks for in it."""
    files: dict[str, str] = {}
    for patch in PATCHES:
        files[patch.file] = files.get(patch.file, "") + patch.old
    return {file: text.encode() for file, text in files.items()}


@pytest.fixture
def sdist(tmp_path: Path) -> Path:
    """An sdist laid out like the real one, with one file of each kind."""
    path = tmp_path / "pb1-detectron2-0.6.tar.gz"
    contents = {
        "LICENSE": b"Apache",
        "setup.py": b"import torch",
        "detectron2/__init__.py": b'__version__ = "0.6"',
        "projects/PointRend/point_rend/__init__.py": b"",
        "projects/PointRend/train_net.py": b"",
    }
    with tarfile.open(path, "w:gz") as tar:
        for name, data in contents.items():
            member = tarfile.TarInfo(f"pb1-detectron2-0.6/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_every_patch_replaces_its_text() -> None:
    """After patching, no file holds a text to be replaced, and each says why it was changed."""
    patched = apply_patches(unpatched())
    assert [p.file for p in PATCHES if p.old not in p.new and p.old.encode() in patched[p.file]] == []
    assert [
        p.file
        for p in PATCHES
        if f"# Changed when this wheel was built: {p.why}.".encode() not in patched[p.file]
    ] == []


def test_patches_that_do_not_occur_are_all_named() -> None:
    """A source that is not the expected one ends the build with every text that was looked for in vain."""
    patches = (
        Patch("a.py", "one", "1", "why"),
        Patch("b.py", "two", "2", "why"),
        Patch("a.py", "x", "y", "why"),
    )
    with pytest.raises(BuildError) as caught:
        apply_patches({"a.py": b"x"}, patches)
    assert str(caught.value).splitlines()[1:3] == ["  a.py: 'one' not found", "  b.py: 'two' not found"]


def test_the_wheel_holds_the_package_its_projects_and_its_licence(sdist: Path) -> None:
    """Files land where upstream's setup.py installs them, and nothing else does."""
    assert set(backend.read_sdist(sdist)) == {
        "detectron2-0.6.dist-info/LICENSE",
        "detectron2/__init__.py",
        "detectron2/projects/point_rend/__init__.py",
    }


def test_the_wheel_s_record_matches_its_files(tmp_path: Path, sdist: Path) -> None:
    """RECORD lists every file with its hash and size, and two builds give the same bytes."""
    wheels = [tmp_path / "a.whl", tmp_path / "b.whl"]
    for wheel in wheels:
        backend.write_wheel(backend.read_sdist(sdist), wheel)
    with zipfile.ZipFile(wheels[0]) as archive:
        record = list(csv.reader(archive.read("detectron2-0.6.dist-info/RECORD").decode().splitlines()))
        files = {name: archive.read(name) for name in archive.namelist()}
    expected = [
        [name, f"sha256={urlsafe_b64encode(sha256(data).digest()).rstrip(b'=').decode()}", str(len(data))]
        for name, data in files.items()
        if not name.endswith("RECORD")
    ]
    assert record == [*expected, ["detectron2-0.6.dist-info/RECORD", "", ""]]
    assert wheels[0].read_bytes() == wheels[1].read_bytes()


def test_a_source_out_of_reach_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an index, the error names what could not be fetched and how to go on."""
    for name in [key for key in os.environ if key.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(BuildError, match=r"can't fetch pb1-detectron2 0\.6 .*\n(.*\n)*.*PIP_FIND_LINKS"):
        fetch.fetch_sdist(tmp_path)


def test_compiled_code_says_that_it_is_not_there() -> None:
    """What needs the compiled extension fails with that reason; what only asks about it gets an answer."""
    spec = importlib.util.spec_from_file_location(
        "extension", Path(backend.__file__).with_name("extension.py")
    )
    assert spec
    assert spec.loader
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    assert extension.has_cuda() is False
    with pytest.raises(RuntimeError, match=r"detectron2\._C\.nms_rotated is compiled code"):
        extension.nms_rotated(1, 2)


def test_an_official_model_zoo_can_be_imported(tmp_path: Path) -> None:
    """Upstream's model_zoo finds its configs with pkg_resources, which this environment has to have."""
    package = tmp_path / "official" / "model_zoo"
    (package / "configs").mkdir(parents=True)
    (tmp_path / "official" / "__init__.py").touch()
    (package / "configs" / "a.yaml").write_text("VERSION: 2")
    (package / "__init__.py").write_text(
        "import os\nimport pkg_resources\n"
        "def get_config_file(config_path):\n"
        "    return pkg_resources.resource_filename(\n"
        "        'official.model_zoo', os.path.join('configs', config_path)\n    )\n"
    )
    code = "from official import model_zoo\nprint(open(model_zoo.get_config_file('a.yaml')).read())"
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.stdout, done.returncode) == ("VERSION: 2\n", 0), f"run: make setup\n{done.stderr}"


@needs_the_wheel
def test_the_installed_wheel_imports_without_deprecated_calls_of_its_own() -> None:
    """Training, evaluation, the model zoo, PointRend, tracing and environment reports import and answer."""
    code = """
import warnings
warnings.filterwarnings("error", module="detectron2")
warnings.filterwarnings("default", message=".*torch.jit.script", category=FutureWarning)  # fvcore's too
import detectron2.engine, detectron2.evaluation, detectron2.export, detectron2.projects.point_rend
import detectron2.utils.analysis
from detectron2 import model_zoo
from detectron2.utils.collect_env import collect_env_info
assert "pure-Python build" in collect_env_info()
print(model_zoo.get_config("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml").MODEL.MASK_ON)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr


@needs_the_wheel
def test_the_installed_wheel_is_the_one_of_this_checkout() -> None:
    """Every file that a patch changes carries that patch's reason: the environment is not an old one."""
    files = {str(file): file for file in distribution("detectron2").files or ()}
    stale = [p.file for p in PATCHES if p.why not in files[p.file].read_text()]
    assert stale == [], "run: make setup"
