"""The names in the table, the presets and the zoo list, held against the installed Detectron2."""

import pytest

pytest.importorskip("detectron2")

from detectron2 import model_zoo
from detectron2.config import get_cfg

from runners.detectron.config import base_config, get_key, masksweep_cfg
from search_spaces.knobs import KNOBS
from search_spaces.overrides import BASE_KEYS, config_overrides
from search_spaces.presets import load_preset, preset_names
from search_spaces.zoo import WITH_WEIGHTS, ZOO_CONFIGS
from sweeps.core.spec import BaseSpec


def test_every_key_of_the_table_is_a_config_key() -> None:
    """No knob sets a key that a config would refuse or silently add."""
    cfg = masksweep_cfg()
    keys = [key for entry in KNOBS for key in (entry.cfg_key, *entry.coupled) if key]
    for key in (*keys, *BASE_KEYS):
        get_key(cfg, key)


def test_every_default_is_detectrons() -> None:
    """The table's defaults are those of the config, so its documentation is true."""
    cfg = masksweep_cfg()
    spelt = {"none": "", "stock": "MaskRCNNConvUpsampleHead"}
    for entry in KNOBS:
        if entry.cfg_key and entry.default is not None:
            assert get_key(cfg, entry.cfg_key) == spelt.get(str(entry.default), entry.default), entry.name


@pytest.mark.parametrize("name", preset_names())
def test_a_presets_overrides_arrive(name: str) -> None:
    """Every key of a preset exists and takes its value."""
    preset = load_preset(name)
    cfg = base_config(BaseSpec(preset=name, weights="none"))
    for key, value in preset.overrides:
        found = get_key(cfg, key)
        assert (list(found) if isinstance(found, tuple) else found) == value, key


@pytest.mark.parametrize("name", preset_names())
def test_the_base_of_a_preset_is_all_that_overrides_need(name: str) -> None:
    """Every knob at once can be computed from a preset's base."""
    cfg = base_config(BaseSpec(preset=name, weights="none"))
    base = {key: get_key(cfg, key) for key in BASE_KEYS}
    params = {
        "anchors.preset": "dense",
        "rpn.pre_nms_topk": 100,
        "input.size": 96,
        "solver.schedule": "steps",
    }
    for key, _ in config_overrides(params, base, 100):
        get_key(cfg, key)


def test_the_zoo_list_is_true() -> None:
    """Each listed config is in the zoo and trains masks, and those said to have weights have them."""
    for name in ZOO_CONFIGS:
        cfg = get_cfg()
        cfg.merge_from_file(model_zoo.get_config_file(name))
        assert (cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.MASK_ON) == ("GeneralizedRCNN", True), name
    assert [name for name in WITH_WEIGHTS if not model_zoo.get_checkpoint_url(name)] == []
