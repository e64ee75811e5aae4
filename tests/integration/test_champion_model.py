"""Champions that are real models: compared, exported and used."""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle

from runners.champion.contest import hold
from runners.champion.judging import Bench, judge
from runners.checkpoints import write_checkpoint
from runners.detectron.predict import predict
from runners.detectron.worker import DetectronWorker
from sweeps.core.champion import Decision
from sweeps.core.states import SweepState
from sweeps.core.stops import Limit
from sweeps.core.trial import Assignment, Suggestion
from sweeps.service import SweepService
from sweeps.settings import Settings
from sweeps.store.champions import Champions
from sweeps.store.engine import open_engine
from sweeps.store.migrations import upgrade
from sweeps.testing import COMPLETED, make_spec
from tests.integration.command import masksweep
from tests.nights import SCHEDULE, add_night, add_schedule

pytestmark = pytest.mark.slow  # trains a model

PARAMS = {"mask_head.upsample_stride": 2, "solver.base_lr": 0.002}


CATEGORY_IDS = {"gear": 3, "bracket": 7, "washer": 40}


def spec_of(parts, val="val.json"):
    """On the data set with category ids that do not count from 1."""
    half = {"images": str(parts / "images")}
    train, val = renumbered(parts, "train.json"), renumbered(parts, val)
    return make_spec(
        dataset={
            "train": {**half, "annotations": str(parts / train)},
            "val": {**half, "annotations": str(parts / val)},
        },
        inference={"score_threshold": [0.05, 0.3]},
        fidelity={"iterations": 40, "rungs": [40]},
    )


def renumbered(parts, name):
    document = json.loads((parts / name).read_text())
    ids = dict(zip([each["id"] for each in document["categories"]], CATEGORY_IDS.values(), strict=True))
    for each in document["categories"]:
        each["id"] = ids[each["id"]]
    for each in document["annotations"]:
        each["category_id"] = ids[each["category_id"]]
    (parts / f"ids-{name}").write_text(json.dumps(document))
    return f"ids-{name}"


class Home:
    """A home with a schedule of real models, one trained for all nights."""

    def __init__(self, directory, parts):
        self.directory, self.spec = directory, spec_of(parts)
        self.settings = Settings.load(directory, environ={})
        engine = open_engine(self.settings.store_url)
        upgrade(engine)
        self.service, self.champions = SweepService(engine), Champions(engine)
        add_schedule(engine, self.spec)
        worker = DetectronWorker(self.spec, device="cpu")
        place = str(directory / "trial")
        worker.start(Assignment("s", 0, 1, 1, PARAMS, 3, (40,), None, 0, place, f"{place}/pause"))
        self.report = worker.step()
        assert self.report.failure is None

    def judge(self, spec=None):
        """A night whose only trial is the trained one."""
        sweep = self.service.create(spec or self.spec, fingerprint="f", now=time.time())
        add_night(self.service.engine, sweep.sweep_id, time.time())
        claim = self.service.claim(sweep.sweep_id, time.time())
        self.service.add_trial(claim, Suggestion(0, PARAMS, 3), {}, time.time())
        self.service.record(claim, self.report, outcome=COMPLETED, sampler_attrs=None, now=time.time())
        self.service.finish(claim, SweepState.STOPPING, "done", time.time(), limit=Limit.TRIALS)
        bench = Bench(self.service, self.champions, claim, self.settings, 0.0, time.time, hold)
        return judge(bench, SweepState.COMPLETED)


@pytest.fixture(scope="module")
def home(parts, tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("home"), parts)
    assert home.judge().decision is Decision.FIRST
    return home


def test_its_directory_is_whole_without_its_sweeps(home):
    """Config, weights, settings and spec; no optimizer."""
    champion = home.champions.champion(SCHEDULE)
    there = sorted(path.name for path in Path(champion.directory).iterdir())
    assert there == [
        "champion.json",
        "config.yaml",
        "contents.json",
        "model.pth",
        "settings.json",
        "spec.json",
    ]
    assert champion.portrait.categories == ("gear", "bracket", "washer")
    settings = json.loads((Path(champion.directory) / "settings.json").read_text())
    assert settings["score_threshold"] in (0.05, 0.3)


def test_both_are_read_by_the_evaluator_that_trials_are_measured_by(home):
    """The same model again ties with the champion, and either has the very AP that its trial was told."""
    verdict = home.judge()
    assert (verdict.decision, verdict.against) == (Decision.KEPT, 1), verdict.reason
    measured = pytest.approx(home.report.metrics["segm/AP"], abs=1e-6)
    assert (verdict.document["candidate"], verdict.document["champion"]) == (measured, measured)
    assert (verdict.document["low"], verdict.document["high"]) == (0.0, 0.0)


def test_a_champion_of_other_categories_stays(home, parts):
    """The verdict names what it knows and what there is."""
    document = json.loads((parts / "val.json").read_text())
    document["categories"][2]["name"] = "ring"
    (parts / "renamed.json").write_text(json.dumps(document))
    verdict = home.judge(spec_of(parts, "renamed.json"))
    assert verdict.decision is Decision.FAILED
    known, there = "gear, bracket, washer", "gear, bracket, ring"
    assert verdict.reason.endswith(f"it knows the categories {known}, and tonight's data has {there}")


def test_a_checkpoint_that_is_gone_fails_the_night(home):
    """In words, and the champion stays."""
    checkpoint = Path(home.report.checkpoint)
    aside = checkpoint.rename(checkpoint.with_name("aside"))
    try:
        verdict = home.judge()
    finally:
        aside.rename(checkpoint)
    assert verdict.decision is Decision.FAILED
    assert "trial 0 has no checkpoint any more: no such file" in verdict.reason


def test_predict_segments_images(home, parts, tmp_path):
    """An overlay of each image's size, and a COCO file whose masks are of that size, too."""
    first, second = sorted((parts / "images").glob("val_*.png"))[:2]
    out = tmp_path / "out"
    done = masksweep(
        "champion", "predict", SCHEDULE, first, second, "--out", out, "--home", home.directory, "--json"
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    document = json.loads(Path(told["predictions"]).read_text())
    assert [each["image"] for each in told["images"]] == [str(first), str(second)]
    assert len(document["annotations"]) == sum(each["instances"] for each in told["images"])
    assert {each["name"]: each["id"] for each in document["categories"]} == CATEGORY_IDS
    assert {each["category_id"] for each in document["annotations"]} <= set(CATEGORY_IDS.values())
    assert told["own_category_ids"]
    assert {image["file_name"] for image in document["images"]} == {str(first), str(second)}
    for annotation in document["annotations"]:
        assert rle.decode(annotation["segmentation"]).shape == (128, 128)
        assert 0 <= annotation["score"] <= 1
    for each in told["images"]:
        before, after = np.asarray(Image.open(each["image"])), np.asarray(Image.open(each["overlay"]))
        assert after.shape[:2] == before.shape[:2]
        assert (after != before).any() == (each["instances"] > 0)


def test_a_champion_kept_without_category_ids_says_so(home, parts, tmp_path):
    """As those of before they were kept: its classes count from 1."""

    def write(place):
        shutil.copytree(home.champions.champion(SCHEDULE).directory, place, dirs_exist_ok=True)
        (place / "contents.json").unlink()
        document = json.loads((place / "champion.json").read_text())
        assert document.pop("category_ids") == list(CATEGORY_IDS.values())
        (place / "champion.json").write_text(json.dumps(document))

    image = min((parts / "images").glob("val_*.png"))
    found = predict(write_checkpoint(tmp_path, "old", write), [image], tmp_path / "out")
    assert not found.own_ids
    assert [each["id"] for each in json.loads(found.predictions.read_text())["categories"]] == [1, 2, 3]


def test_images_that_are_none_are_told_at_once(home, parts, tmp_path):
    """Every one of them, without a traceback."""
    (tmp_path / "text.png").write_text("no image")
    done = masksweep(
        "champion",
        "predict",
        SCHEDULE,
        tmp_path / "text.png",
        tmp_path / "gone.png",
        "--home",
        home.directory,
    )
    assert done.returncode == 2
    assert "images: 2 problems" in done.stderr
    assert "gone.png: no such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_export_copies_what_is_used(home, tmp_path):
    """A directory that stock Detectron2 can load; one that is there is not touched."""
    out = tmp_path / "model"
    done = masksweep("champion", "export", SCHEDULE, out, "--home", home.directory)
    assert done.returncode == 0, done.stderr
    expected = ["champion.json", "config.yaml", "model.pth", "settings.json", "spec.json"]
    assert sorted(path.name for path in out.iterdir()) == expected
    again = masksweep("champion", "export", SCHEDULE, out, "--home", home.directory)
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    shutil.rmtree(out)
