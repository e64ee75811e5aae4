"""A sweep that was taken in unchecked, whose driver finds that its data is no good."""

import json
import time
from dataclasses import replace

import pytest

from runners.synthetic import write_dataset
from sweeps.bootstrap import open_service
from sweeps.cli.drive import drive_launch
from sweeps.cli.run import resume_sweep
from sweeps.cli.show import list_sweeps, show_sweep
from sweeps.core.errors import SpecInvalid
from sweeps.core.spec import parse_spec
from sweeps.core.states import SweepState
from sweeps.core.trial import Suggestion
from sweeps.settings import Settings
from sweeps.store.launches import LaunchBook
from sweeps.store.submissions import Rank
from sweeps.testing import make_spec


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings.load(tmp_path / "home", environ={})


def launched(service) -> str:
    """A sweep whose data is not there, and that nobody has read; its first launch is written down."""
    spec = make_spec()
    sweep_id = service.create(spec, fingerprint="", now=time.time(), rank=Rank()).sweep_id
    book = LaunchBook(service.engine, "test", 600.0)
    book.write_down(book.launch(sweep_id), time.time())
    return sweep_id


def test_it_is_failed_at_once_with_every_problem(settings, capsys):
    """`show`, `ls` and an event say why, and another try by hand finds the same while nothing is mended."""
    service = open_service(settings, create=True)
    sweep_id = launched(service)
    assert drive_launch(sweep_id, 1, settings, ray_address=None, handle="h") == 1
    sweep = service.sweep(sweep_id)
    assert sweep.state is SweepState.FAILED
    assert sweep.reason.startswith("it cannot be trained: dataset.train")
    *_, event = service.events(sweep_id)
    assert (event.kind, event.data["reason"]) == ("sweep.given_up", sweep.reason)
    capsys.readouterr()
    list_sweeps(service, as_json=True)
    (row,) = json.loads(capsys.readouterr().out)["sweeps"]
    assert row["reason"] == sweep.reason
    show_sweep(service, settings, sweep_id, as_json=False)
    assert f"FAILED: {sweep.reason}"[:60] in capsys.readouterr().out
    assert resume_sweep(sweep_id, settings, as_json=False, ray_address=None) == 2
    assert service.sweep(sweep_id).state is SweepState.FAILED


def test_a_driver_keeps_to_the_directories_that_the_service_allows(settings, tmp_path):
    """A service without the workers' libraries looks at the paths of a spec alone; its driver at all."""
    write_dataset(tmp_path / "data", train=2, val=1, size=64, seed=0)
    (tmp_path / "data" / "images").rename(tmp_path / "elsewhere")
    (tmp_path / "data" / "images").symlink_to(tmp_path / "elsewhere")
    service = open_service(settings, create=True)
    root = tmp_path / "data"
    halves = "".join(
        f"  {half}: {{annotations: {root}/{half}.json, images: {root}/images}}\n" for half in ("train", "val")
    )
    text = f"version: 1\nname: parts\ndataset:\n{halves}base: {{preset: mask_rcnn_tiny}}\n"
    sweep_id = service.create(parse_spec(text, tmp_path), fingerprint="", now=1.0, rank=Rank()).sweep_id
    book = LaunchBook(service.engine, "test", 600.0)
    book.write_down(book.launch(sweep_id), time.time())
    confined = replace(settings, data_roots=(root,))
    assert drive_launch(sweep_id, 1, confined, ray_address=None, handle="h") == 1
    assert "links lead out of the directories that the service allows" in service.sweep(sweep_id).reason


def test_what_was_trained_waits_for_its_data(settings):
    """A directory may be away for a while: the supervisor tries again."""
    service = open_service(settings, create=True)
    sweep_id = launched(service)
    claim = service.claim(sweep_id, time.time())
    service.add_trial(claim, Suggestion(0, {"mask_head.num_conv": 4}, 5), {}, time.time())
    service.finish(claim, SweepState.PAUSED, "paused", time.time())
    with pytest.raises(SpecInvalid, match=r"dataset\.train"):
        drive_launch(sweep_id, 1, settings, ray_address=None, handle="h")
    assert service.sweep(sweep_id).state is SweepState.PAUSED
