"""The service without the workers' libraries, as its image has it."""

import subprocess
import sys
import textwrap

ALONE = """
    import sys

    class Absent:
        def find_spec(self, name, path=None, target=None):
            heavy = {"ray", "torch", "torchvision", "detectron2", "pycocotools", "hotcoco"}
            if name.partition(".")[0] in heavy:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Absent())

    from pathlib import Path
    from sweeps.service import SweepService
    from sweeps.store.engine import open_engine
    from sweeps.store.migrations import upgrade
    from tests.service_client import CURVES, served

    engine = open_engine(f"sqlite:///{sys.argv[1]}/store.db")
    upgrade(engine)
    mlflow = f"sqlite:///{sys.argv[1]}/ml.db"
    with served(SweepService(engine), roots=(Path(sys.argv[1]),), tracking_uri=mlflow) as api:
        split = {"annotations": "a.json", "images": "."}
        data = {"dataset": {"train": split, "val": split}, "base": {"preset": "mask_rcnn_tiny"}}
        answer = api("POST", "/sweeps", json={**CURVES, **data})
        print(answer.status_code, answer.json()["sweep"]["fingerprint"], answer.json()["notes"])
        print(api("POST", "/plan", json=CURVES).status_code)
        first = answer.json()["sweep"]["sweep_id"]
        print(api("GET", f"/sweeps/{first}/importance").status_code)
        print(api("POST", f"/sweeps/{first}/mirror").json()["parent_run_id"] is not None)
        warm = api("POST", "/sweeps", json={**CURVES, "warm_start": {"from": [first]}})
        print(warm.status_code, warm.json()["issues"][0]["path"])
"""


def test_a_service_without_workers_takes_sweeps_in(tmp_path):
    """What it cannot check it says, and leaves to the sweep's driver; what needs the data it refuses."""
    code = textwrap.dedent(ALONE)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    submitted, planned, importance, mirrored, warm = done.stdout.splitlines()
    assert submitted.startswith("201 None")
    assert "checked by the sweep's driver, not here" in submitted
    assert (planned, importance, mirrored, warm) == ("200", "200", "True", "422 warm_start")
