"""`masksweep` as a user types it: real Detectron2, Ray, MLflow and SQLite, in processes of their own."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.integration.command import masksweep

pytestmark = pytest.mark.slow  # trains real models in Ray workers

SPEC = """
version: 1
name: tiny parts
dataset:
  train: {{annotations: {data}/train.json, images: {images}}}
  val: {{annotations: {data}/val.json, images: {images}}}
base: {{preset: mask_rcnn_tiny}}
space:
  mask_head.upsample_stride: {{choices: [1, 2, 4]}}
  solver.base_lr: {{low: 3e-4, high: 3e-3, log: true}}
fidelity: {{iterations: 4, rungs: [2, 4]}}
budget: {{trials: 2}}
pruner: {{type: none}}
tracking: {{experiment: parts}}
"""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, parts, ray_address):
    """A sweep of two short trials that `masksweep run --json` has done."""
    home = tmp_path_factory.mktemp("home")
    spec = home / "spec.yaml"
    spec.write_text(SPEC.format(data=parts, images=parts / "images"))
    done = masksweep("run", spec, "--home", home, "--json", "--ray-address", ray_address)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(home=home, spec=spec, document=json.loads(done.stdout), words=done.stderr)


def test_run_prints_one_document(sweep):
    """stdout holds one JSON document with every trial, the best one and the place in MLflow."""
    document = sweep.document
    assert document["state"] == "COMPLETED"
    assert [(t["number"], t["state"], t["iterations"]) for t in document["trials"]] == [
        (0, "COMPLETED", 4),
        (1, "COMPLETED", 4),
    ]
    for trial in document["trials"]:
        assert set(trial["params"]) == {"mask_head.upsample_stride", "solver.base_lr"}
        assert {"segm/AP", "segm/AP50", "segm/AP75", "segm/APs", "bbox/AP"} <= set(trial["metrics"])
    assert document["best"]["number"] in {0, 1}
    assert set(document["mlflow"]) == {"tracking_uri", "experiment_id", "parent_run_id", "compare_url"}


def test_run_tells_its_progress_on_stderr(sweep):
    """Without a terminal, progress is plain lines: a trial's rung, the best so far, the time left."""
    assert "trial 0 started | 0/2 done, no best yet" in sweep.words
    assert "rung 1/2, 2/4 iterations, segm/AP" in sweep.words
    assert "COMPLETED, 4/4 iterations, segm/AP" in sweep.words


def test_the_best_checkpoint_loads_in_stock_detectron2(sweep):
    """The checkpoint is a directory with a config and weights that Detectron2's own loader takes."""
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.modeling import build_model

    from runners.detectron.config import masksweep_cfg

    checkpoint = Path(sweep.document["best"]["checkpoint"])
    cfg = masksweep_cfg()
    cfg.merge_from_file(str(checkpoint / "config.yaml"), allow_unsafe=False)
    cfg.MODEL.DEVICE = "cpu"
    model = build_model(cfg)
    missing = DetectionCheckpointer(model).load(str(checkpoint / "model.pth"))
    assert missing.get("iteration", 4) == 4


def test_show_and_ls_read_the_store_afterwards(sweep):
    """`show --json` prints the same document; `ls --json` lists the sweep; a prefix of the id will do."""
    sweep_id = sweep.document["sweep_id"]
    shown = masksweep("show", sweep_id[:-2], "--home", sweep.home, "--json")
    assert json.loads(shown.stdout) == sweep.document
    listed = json.loads(masksweep("ls", "--home", sweep.home, "--json").stdout)["sweeps"]
    assert [(s["sweep_id"], s["state"], s["ended"]) for s in listed] == [(sweep_id, "COMPLETED", 2)]
    table = masksweep("show", sweep_id, "--home", sweep.home).stdout
    assert f"* {sweep.document['best']['number']}  COMPLETED" in table


def test_mlflow_has_the_sweep_and_every_attempt(sweep, tmp_path):
    """A parent run, a child an attempt with its knobs, metrics at each rung, losses and the full config."""
    from mlflow.tracking import MlflowClient

    mlflow = sweep.document["mlflow"]
    client = MlflowClient(mlflow["tracking_uri"])
    runs = client.search_runs([mlflow["experiment_id"]])
    children = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == mlflow["parent_run_id"]]
    assert len(runs) == 3
    assert sorted(r.data.tags["masksweep.trial"] for r in children) == ["0", "1"]
    for run in children:
        trial = sweep.document["trials"][int(run.data.tags["masksweep.trial"])]
        assert run.info.status == "FINISHED"
        assert {k: float(v) for k, v in run.data.params.items()} == trial["params"]
        history = client.get_metric_history(run.info.run_id, "segm/AP")
        assert [point.step for point in history] == [2, 4]
        assert history[-1].value == trial["metrics"]["segm/AP"]
        config = Path(client.download_artifacts(run.info.run_id, "config.yaml", str(tmp_path)))
        assert "UPSAMPLE_STRIDE" in config.read_text()
        assert any(name.startswith("loss/") for name in run.data.metrics)


def test_mirror_fills_an_empty_mlflow(sweep, tmp_path):
    """`masksweep mirror` makes the same runs in another MLflow from the store alone."""
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path / 'other.db'}"
    done = masksweep(
        "mirror", sweep.document["sweep_id"], "--home", sweep.home, "--json", MLFLOW_TRACKING_URI=uri
    )
    links = json.loads(done.stdout)
    runs = MlflowClient(uri).search_runs([links["experiment_id"]])
    values = {
        r.data.tags["masksweep.trial"]: r.data.metrics["segm/AP"]
        for r in runs
        if "masksweep.trial" in r.data.tags
    }
    assert values == {str(t["number"]): t["metrics"]["segm/AP"] for t in sweep.document["trials"]}


def test_a_finished_sweep_is_not_resumed(sweep):
    """`resume` of what has ended says so, with exit code 2."""
    done = masksweep("resume", sweep.document["sweep_id"], "--home", sweep.home)
    assert done.returncode == 2
    assert (
        f"error: sweep {sweep.document['sweep_id']} is COMPLETED: there is nothing to go on with"
        in done.stderr
    )


def test_an_unknown_sweep_is_answered_with_a_near_one(sweep):
    """A typo in an id gives exit code 2 and the id that was meant."""
    done = masksweep("show", "tiny-partz", "--home", sweep.home)
    assert done.returncode == 2
    assert sweep.document["sweep_id"] in done.stderr
    assert "Traceback" not in done.stderr


def test_any_coco_set_runs(tmp_path, ray_address):
    """Any train.json, val.json and image folder will do; MASKSWEEP_TEST_COCO names one of your own."""
    given = os.environ.get("MASKSWEEP_TEST_COCO")
    data = Path(given) if given else tmp_path
    images = data / os.environ.get("MASKSWEEP_TEST_IMAGES", "pages" if not given else "images")
    if not given:
        from tests.integration.digits import write_digits

        write_digits(data, train=12, val=6)
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC.format(data=data, images=images).replace("{trials: 2}", "{trials: 1}"))
    done = masksweep("run", spec, "--home", tmp_path / "home", "--json", "--ray-address", ray_address)
    assert done.returncode == 0, done.stderr
    (trial,) = json.loads(done.stdout)["trials"]
    names = {category["name"] for category in json.loads((data / "val.json").read_text())["categories"]}
    measured = {name.removeprefix("segm/AP-") for name in trial["metrics"] if name.startswith("segm/AP-")}
    assert trial["state"] == "COMPLETED"
    assert measured
    assert measured <= names


def test_a_wrong_spec_creates_nothing(tmp_path, parts):
    """Every problem at once, exit code 2, no traceback, no home."""
    spec = tmp_path / "spec.yaml"
    text = SPEC.format(data=parts, images=parts / "images").replace("[1, 2, 4]", "[1, 3]")
    text = text.replace("upsample_stride", "upsample_strides", 1).replace("trials: 2", "trials: 0")
    spec.write_text(text.replace(f"{parts}/val.json", "val.json"))
    done = masksweep("run", spec, "--home", tmp_path / "home", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{spec}: 3 problems\n")
    assert f"dataset.val.annotations: no such file: {tmp_path / 'val.json'}" in done.stderr
    assert "hint: the knob is mask_head.upsample_stride" in done.stderr
    assert "budget.trials: got 0, but needs a whole number from 1 to 100000" in done.stderr
    assert not (tmp_path / "home").exists()


def test_wrong_data_is_told_before_anything_trains(tmp_path, parts):
    """An objective that the data cannot measure, and a file that is not there: exit code 2, no home."""
    document = json.loads((parts / "val.json").read_text())
    document["annotations"] = [a for a in document["annotations"] if a["area"] >= 32**2]
    (tmp_path / "val.json").write_text(json.dumps(document))
    (tmp_path / "train.json").symlink_to(parts / "train.json")
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        SPEC.format(data=tmp_path, images=parts / "images") + "objectives: [{metric: segm/APs}]\n"
    )
    done = masksweep("run", spec, "--home", tmp_path / "home")
    assert done.returncode == 2
    assert "objectives[0].metric: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "home").exists()


def test_a_home_without_sweeps_is_said_to_be_one(tmp_path):
    """Reading an empty place is a mistake to be told of, and does not make a store there."""
    done = masksweep("ls", "--home", tmp_path / "nothing")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: nothing has been run in {tmp_path / 'nothing'}\n")
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "error: no Ray cluster answers at 127.0.0.1:1: Connection refused\n"),
        ("ray://127.0.0.1:1", "error: no Ray cluster answers at ray://127.0.0.1:1: Connection refused\n"),
        ("foo://x", "error: 'foo://x' is not the address of a Ray cluster\n"),
    ],
)
def test_a_cluster_that_is_not_there_creates_nothing(tmp_path, parts, address, said):
    """A wrong --ray-address is told within seconds, and leaves no sweep behind."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC.format(data=parts, images=parts / "images"))
    done = masksweep("run", spec, "--home", tmp_path / "home", "--ray-address", address)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)
    assert not (tmp_path / "home").exists()


def test_a_trial_that_fits_nowhere_here_creates_nothing(tmp_path, parts):
    """More CPUs than this machine has is found before Ray starts and before there is a sweep."""
    spec = tmp_path / "spec.yaml"
    text = SPEC.format(data=parts, images=parts / "images")
    spec.write_text(text + "resources: {cpus_per_trial: 100000}\n")
    done = masksweep("run", spec, "--home", tmp_path / "home")
    assert done.returncode == 2
    assert done.stderr.startswith("error: a trial needs 100000 CPUs and ")
    assert not (tmp_path / "home").exists()


def test_a_sweep_that_a_cluster_cannot_run_is_left_to_go_on_with(tmp_path, parts, ray_address):
    """What only the joined cluster can tell comes after the sweep exists: the hint says how to go on."""
    spec = tmp_path / "spec.yaml"
    text = SPEC.format(data=parts, images=parts / "images")
    spec.write_text(text + "resources: {cpus_per_trial: 3}\n")
    home = tmp_path / "a home"
    done = masksweep("run", spec, "--home", home, "--ray-address", ray_address)
    assert done.returncode == 2
    assert "error: a trial needs 3 CPUs and 1 GPUs, but the cluster has 2 and 4\n" in done.stderr
    (sweep,) = json.loads(masksweep("ls", "--home", home, "--json").stdout)["sweeps"]
    assert (
        "hint: lower resources.cpus_per_trial or resources.gpus_per_trial; the sweep is kept, go on with: "
        in done.stderr
    )
    assert done.stderr.endswith(
        f"masksweep resume {sweep['sweep_id']} --ray-address {ray_address} --home '{home}'\n"
    )


def test_what_is_sound_is_looked_at_beside_every_mistake(tmp_path, parts):
    """A missing file, a half of the data that is absent and a typo elsewhere are told in one go."""
    spec = tmp_path / "spec.yaml"
    text = SPEC.format(data=parts, images=parts / "images").replace("trials: 2", "trials: 0")
    text = text.replace(f"{parts}/val.json", "\U0001f600.json").replace(
        "train: {annotations", "train: {anotations"
    )
    spec.write_text(text.replace("preset: mask_rcnn_tiny", "file: none.yaml"))
    done = masksweep("run", spec, "--home", tmp_path / "home")
    assert done.returncode == 2
    for line in (
        "  dataset.train.anotations: unknown field, ",
        "  budget.trials: got 0, ",
        f"  dataset.val.annotations: no such file: {tmp_path}/\U0001f600.json\n",
        "  base.file: ",
    ):
        assert line in done.stderr
    assert "dataset.train.annotations: no such file" not in done.stderr


def test_the_synthetic_data_set_says_what_it_wrote(tmp_path):
    """`dataset synth --json` prints one document: the directory, the spec to run and how many images."""
    directory = tmp_path / "a set"
    done = masksweep("dataset", "synth", directory, "--train", 1, "--val", 2, "--size", 64, "--json")
    assert json.loads(done.stdout) == {
        "directory": str(directory),
        "spec": str(directory / "spec.yaml"),
        "train": 1,
        "val": 2,
    }
    assert (directory / "spec.yaml").exists()


@pytest.mark.parametrize("place", ["file", "file/under"])
def test_a_data_set_that_cannot_be_written_is_told(tmp_path, place):
    """A file in the way of `dataset synth` gives exit code 2 and no traceback."""
    (tmp_path / "file").touch()
    done = masksweep("dataset", "synth", tmp_path / place, "--train", 1, "--val", 1)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: the data set cannot be written to {tmp_path / place}: ")
    assert "Traceback" not in done.stderr
