"""Files that a spec names are files: nothing waits for what only looks like one."""

import os
import socket
from pathlib import Path

import pytest
from torch import nn

from runners.annotations.coco_file import read_coco
from runners.annotations.findings import Findings
from runners.annotations.image_files import check_files
from runners.base_files import require_regular_files, strays
from runners.base_fingerprint import base_fingerprint
from runners.champion.facts import categories_of
from runners.detectron.config import base_issues
from runners.detectron.data import read_image, register
from runners.detectron.model import load_weights
from runners.evaluation.truth import load_ground_truth
from runners.regular_files import open_regular, read_text, require_regular
from runners.weights import weights_issue
from sweeps.core.errors import SpecInvalid
from sweeps.core.spec import BaseSpec, parse_spec

pytestmark = pytest.mark.timeout(30)  # opening a pipe waits for ever

PIPE = "got a named pipe, but needs a regular file"


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_a_regular_file_is_read_also_behind_a_link(tmp_path: Path):
    """Links are followed, and messages of who reads the file have its path."""
    (tmp_path / "file").write_text("ä", encoding="utf-8")
    (tmp_path / "link").symlink_to("file")
    assert read_text(tmp_path / "link") == "ä"
    with open_regular(tmp_path / "link") as file:
        assert file.name == str(tmp_path / "link")


def test_what_is_no_regular_file_is_named(tmp_path: Path, pipe: Path):
    """Pipes, sockets, devices and directories are told apart, behind a link too."""
    (tmp_path / "link").symlink_to(pipe)
    for path in (pipe, tmp_path / "link"):
        with pytest.raises(OSError, match=PIPE) as caught:
            require_regular(path)
        assert caught.value.filename == str(path)
    with pytest.raises(OSError, match="got a device, but needs a regular file"):
        require_regular("/dev/zero")
    with pytest.raises(IsADirectoryError):
        require_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        require_regular(tmp_path / "gone")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match="got a socket, but needs a regular file"):
            require_regular(tmp_path / "socket")


def test_an_opened_file_is_looked_at_itself(tmp_path: Path, pipe: Path):
    """A pipe that takes a file's place in between is refused too, and no descriptor stays open."""
    (tmp_path / "file").touch()

    class Exchanged:
        """A path behind which the pipe is once it was looked at."""

        def __init__(self) -> None:
            self.paths = iter([tmp_path / "file"])

        def __fspath__(self) -> str:
            return str(next(self.paths, pipe))

    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(OSError, match=PIPE):
            require_regular(Exchanged())
    assert len(os.listdir("/proc/self/fd")) == before


def test_annotations_that_are_a_pipe_are_told(tmp_path: Path, pipe: Path):
    """The audit says what is there instead of waiting for somebody who writes."""
    findings = Findings()
    for half, path in (("val", pipe), ("train", tmp_path)):
        where = f"dataset.{half}.annotations"
        assert read_coco(path, where, findings, Findings(), evaluated=True) == (None, b"")
    assert sorted(map(str, findings.issues())) == [
        f"dataset.train.annotations: cannot read {tmp_path}: Is a directory",
        f"dataset.val.annotations: cannot read {pipe}: {PIPE}",
    ]
    with pytest.raises(OSError, match=PIPE):
        load_ground_truth(pipe)


def test_images_that_are_no_files_are_told(tmp_path: Path, pipe: Path):
    """An image that is a pipe or a directory is not said to be missing."""
    (tmp_path / "folder.png").mkdir()
    findings = Findings()
    names = ("pipe", "folder.png", "gone.png")
    records = {n: {"file_name": name, "width": 8, "height": 8} for n, name in enumerate(names)}
    check_files(records, tmp_path, "dataset.val", findings, Findings())
    assert list(map(str, findings.issues())) == [
        "dataset.val.images: images that are no regular files: pipe, folder.png",
        f"dataset.val.images: images that are not in {tmp_path}: gone.png",
    ]
    with pytest.raises(OSError, match=PIPE):
        read_image(str(pipe), "BGR")


def test_configs_that_are_pipes_are_told(tmp_path: Path):
    """A base's config, and what its _BASE_ leads to, is asked for before Detectron2 opens it."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "parent.yaml").write_text("_BASE_: [pipe.yaml]\n")
    (tmp_path / "child.yaml").write_text("_BASE_: parent.yaml\n")
    (tmp_path / "folder.yaml").mkdir()
    told = f"base.file: cannot read {tmp_path}/pipe.yaml: {PIPE}"
    for name in ("pipe.yaml", "child.yaml"):
        base = BaseSpec(file=str(tmp_path / name), weights="file")
        assert strays(base, (tmp_path,)) == ()
        assert [str(issue) for issue in base_issues(base)] == [told]
    (issue,) = base_issues(BaseSpec(file=str(tmp_path / "folder.yaml"), weights="none"))
    assert str(issue) == f"base.file: cannot read {tmp_path}/folder.yaml: Is a directory"


def test_weights_that_are_a_pipe_are_told(tmp_path: Path, pipe: Path):
    """Whoever opens weights asks what they are: the check before a sweep, its fingerprint, and the trial."""
    assert str(weights_issue(str(pipe))) == f"base.weights: cannot read {pipe}: {PIPE}"
    with pytest.raises(OSError, match=PIPE):
        base_fingerprint(BaseSpec(preset="mask_rcnn_tiny", weights=str(pipe)))
    with pytest.raises(OSError, match=PIPE):
        load_weights(nn.Linear(3, 2), str(pipe))


def test_a_worker_does_not_wait_for_annotations(tmp_path: Path, pipe: Path):
    """Files that became pipes after the audit fail the attempt, and a judgement, instead of holding it."""
    split = f"{{annotations: {pipe}, images: {tmp_path}}}"
    data = f"dataset: {{train: {split}, val: {split}}}"
    spec = parse_spec(f"version: 1\nname: pipes\n{data}\nbase: {{preset: mask_rcnn_tiny}}\n", tmp_path)
    with pytest.raises(OSError, match=PIPE):
        register(spec)
    with pytest.raises(OSError, match=PIPE):
        categories_of(spec)


def test_a_config_that_leads_back_to_itself_is_told(tmp_path):
    """However it spells its own path: Detectron2 would go round until the system finds the path too long."""
    (tmp_path / "a.yaml").write_text("_BASE_: ./b.yaml\n")
    (tmp_path / "b.yaml").write_text("_BASE_: [.//c.yaml, ./a.yaml]\n")
    (tmp_path / "c.yaml").write_text("{}\n")
    with pytest.raises(SpecInvalid, match=r"b\.yaml leads back to .*a\.yaml"):
        require_regular_files(str(tmp_path / "a.yaml"))
    (tmp_path / "b.yaml").write_text("_BASE_: [.//c.yaml, ./c.yaml]\n")
    require_regular_files(str(tmp_path / "a.yaml"))
