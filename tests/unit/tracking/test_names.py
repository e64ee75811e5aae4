from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name, _validate_param

from sweeps.tracking.names import MAX_PARAM_VALUE, clipped, legal_name, legal_names, param_text

NAMES = st.text(min_size=1, max_size=300)


def test_an_ordinary_metric_keeps_its_name():
    """COCO names, category names with spaces and accents, and Detectron2's losses are shown as they are."""
    names = ["segm/AP", "segm/APs", "segm/AP-flat washer", "segm/AP-Mutter größer", "loss/loss_mask", "lr"]
    assert [legal_name(name) for name in names] == names


def test_what_mlflow_forbids_becomes_an_underscore():
    """A category may be called anything."""
    assert legal_name("segm/AP-screw M3 (left)") == "segm/AP-screw M3 _left_"
    assert legal_name("segm/AP-a//../b/") == "segm/AP-a/__/b"


def test_names_that_would_fall_together_stay_apart():
    """Two categories that differ in a forbidden character are two metrics."""
    names = legal_names(["segm/AP-nut (a)", "segm/AP-nut [a]", "segm/AP-nut _a_", "segm/AP"])
    assert len(set(names.values())) == 4
    assert names["segm/AP-nut _a_"] == "segm/AP-nut _a_"
    assert names["segm/AP"] == "segm/AP"


@given(st.sets(NAMES, max_size=5))
def test_mlflow_takes_every_legal_name(names):
    """Whatever a name is, MLflow's own check accepts what it becomes, and different names stay different."""
    legal = legal_names(names)
    for name in legal.values():
        _validate_metric_name(name)
    assert len(set(legal.values())) == len(names)


def test_a_long_value_is_cut_and_carries_the_hash_of_the_whole():
    """Two long values that differ only at their end are shown as different, in 6000 characters."""
    long = "x" * 7000
    assert param_text("short") == "short"
    assert param_text(0.001) == "0.001"
    assert len(param_text(long)) == MAX_PARAM_VALUE
    assert param_text(long + "a") != param_text(long + "b")
    _validate_param("weights", param_text(long))
    assert clipped("abc", 3) == "abc"
