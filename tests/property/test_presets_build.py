"""Any point of each preset's space is a model that builds; the tiny ones train, too."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runners.detectron.config import build_config
from runners.detectron.model import build_model
from runners.detectron.worker import DetectronWorker
from search_spaces.parameters import CategoricalParameter, IntParameter
from search_spaces.presets import load_preset, preset_names
from sweeps.core.trial import Assignment
from sweeps.testing import make_spec

pytestmark = pytest.mark.slow  # builds and trains real models


def points(space):
    """Strategy for the active parameters of a point of a space."""

    @st.composite
    def draw_point(draw):
        params = {}
        for parameter in space.parameters:
            if not space.is_active(parameter, params):
                continue
            if isinstance(parameter, CategoricalParameter):
                value = draw(st.sampled_from(parameter.choices))
            elif isinstance(parameter, IntParameter):
                steps = (parameter.high - parameter.low) // parameter.step
                value = parameter.low + parameter.step * draw(st.integers(0, steps))
            else:
                value = draw(st.floats(parameter.low, parameter.high))
            params[parameter.name] = value
        return params

    return draw_point()


def preset_spec(name, **sections):
    return make_spec(base={"preset": name, "weights": "none"}, **sections)


@pytest.mark.parametrize("name", preset_names())
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_point_of_a_presets_space_builds(name, data):
    """Config and model can be made for whatever the sampler may suggest."""
    params = data.draw(points(load_preset(name).space))
    spec = preset_spec(name)
    cfg = build_config(spec, params, seed=0, output_dir="unused", num_classes=3, device="cpu")
    assert sum(p.numel() for p in build_model(cfg).parameters()) > 100_000


@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(params=points(load_preset("mask_rcnn_tiny").space))
def test_any_point_of_the_tiny_space_trains_and_is_measured(params, parts, tmp_path):
    """Two iterations and an evaluation end with a finite loss and a mask AP."""
    half = {"images": str(parts / "images")}
    dataset = {name: {**half, "annotations": str(parts / f"{name}.json")} for name in ("train", "val")}
    fidelity = {"iterations": 2, "rungs": [2]}
    worker = DetectronWorker(preset_spec("mask_rcnn_tiny", dataset=dataset, fidelity=fidelity), device="cpu")
    directory = str(tmp_path / str(abs(hash(str(params)))))
    worker.start(Assignment("s", 0, 1, 1, params, 0, (2,), None, 0, directory, str(tmp_path / "pause")))
    report = worker.step()
    assert report.failure is None
    assert 0 <= report.metrics["segm/AP"] <= 100
