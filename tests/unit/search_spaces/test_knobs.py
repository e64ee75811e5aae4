"""The knob table and the other names that lead to it."""

import re

import pytest

from search_spaces.aliases import ALIASES, explain_name, knob_meant
from search_spaces.knob_types import Between, OneOf
from search_spaces.knobs import KNOBS, knob, knob_names
from search_spaces.scalars import BadValueError, knob_value


def test_names_are_unique_and_dotted() -> None:
    """A knob's name is a group and a word, and no two knobs share one."""
    assert len(set(knob_names())) == len(KNOBS)
    assert [name for name in knob_names() if not re.fullmatch(r"[a-z]+(_head)?\.[a-z_]+", name)] == []


def test_every_knob_has_a_doc_a_source_and_a_key() -> None:
    """The table tells what a knob does, where that is from, and which Detectron2 keys it sets."""
    assert [
        entry.name for entry in KNOBS if not (entry.doc and entry.source and (entry.cfg_key or entry.coupled))
    ] == []


def test_every_default_is_legal() -> None:
    """Detectron2's own values lie within what the table allows."""
    assert [
        entry.name for entry in KNOBS if entry.default is not None and not entry.legal.allows(entry.default)
    ] == []


def test_no_two_knobs_set_the_same_key() -> None:
    """Each Detectron2 key belongs to one knob, so overrides cannot contradict each other."""
    keys = [key for entry in KNOBS for key in (entry.cfg_key, *entry.coupled) if key]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("MODEL.ROI_MASK_HEAD.CONV_DIM", "mask_head.conv_dim"),
        ("model.roi_mask_head.conv_dim", "mask_head.conv_dim"),
        ("ROI_MASK_HEAD.NORM", "mask_head.norm"),
        ("CONV_DIM", "mask_head.conv_dim"),
        ("conv_dim", "mask_head.conv_dim"),
        ("mask_head_conv_dim", "mask_head.conv_dim"),
        ("UPSAMPLE_STRIDES", "mask_head.upsample_stride"),
        ("MODEL.ROI_MASK_HEAD.UPSAMPLE_STRIDES", "mask_head.upsample_stride"),
        ("CONV_HEAD_DIM", "mask_head.conv_dim"),
        ("IMS_PER_BATCH", "solver.batch_size"),
        ("SOLVER.LR_SCHEDULER_NAME", "solver.schedule"),
        ("MODEL.ANCHOR_GENERATOR.SIZES", "anchors.preset"),
        ("learning-rate", "solver.base_lr"),
        ("LSJ", "augment.large_scale_jitter"),
        ("large_scale_jitter", "augment.large_scale_jitter"),
        ("DATALOADER.REPEAT_THRESHOLD", "sampling.repeat_rare"),
        ("MODEL.POINT_HEAD.TRAIN_NUM_POINTS", "point_head.num_points"),
        ("dice_loss", "mask_head.loss"),
    ],
)
def test_other_names_lead_to_their_knob(word: str, name: str) -> None:
    """Detectron2 keys, their last words in any case, and invented names mean a knob."""
    assert knob_meant(word) == name


def test_every_alias_names_a_knob() -> None:
    """No alias points at a name that the table lacks."""
    assert set(ALIASES.values()) <= set(knob_names())


@pytest.mark.parametrize("word", ["NAME", "SIZE", "ENABLED"])
def test_words_of_many_keys_mean_no_knob(word: str) -> None:
    """A word that says nothing alone is not guessed at."""
    assert knob_meant(word) is None


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("MASK_THRESHOLD", "inference.mask_threshold sets it"),
        ("MODEL.ROI_HEADS.NMS_THRESH_TEST", "inference.nms_threshold sets it"),
        ("SOLVER.STEPS", "learning rate steps follow fidelity.iterations; the knob is solver.schedule"),
        ("solver.base_ir", "did you mean solver.base_lr?"),
        ("xyz", "`masksweep knobs` lists the knobs"),
    ],
)
def test_what_is_no_knob_is_explained(word: str, hint: str) -> None:
    """Settings that live elsewhere in a spec are named with their place."""
    assert explain_name(word) == hint


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("solver.base_lr", "1e-3", 0.001),
        ("solver.base_lr", 1, 1.0),
        ("mask_head.conv_dim", 64.0, 64),
        ("solver.batch_size", "8", 8),
        ("mask_head.class_agnostic", "yes", True),
        ("mask_head.class_agnostic", "off", False),
        ("augment.flip", "none", "none"),
    ],
)
def test_values_take_the_type_of_their_knob(name: str, raw: object, value: object) -> None:
    """What YAML leaves as text or as another kind of number is brought to the knob's type."""
    found = knob_value(knob(name), raw)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("raw", [True, "fast", None, float("nan"), float("inf"), [0.1]])
def test_values_of_other_types_are_refused(raw: object) -> None:
    """Truth values, words, nulls and infinities are no learning rates."""
    with pytest.raises(BadValueError):
        knob_value(knob("solver.base_lr"), raw)


def test_legal_values_read_well() -> None:
    """The words that messages and the table use for legal values."""
    assert [str(OneOf((False, "a", 2))), str(Between(0, 1)), str(Between(32, 64, 32))] == [
        "false, a, 2",
        "0 to 1",
        "32 to 64 in multiples of 32",
    ]
