"""What is fetched stays where downloads are kept."""

from pathlib import Path

import pytest
from iopath.common.file_io import HTTPURLHandler, PathManager
from torch import nn

from runners.detectron.config import base_issues
from runners.detectron.model import WeightsDoNotFit, load_weights
from runners.weights import weights_issue
from sweeps.core.spec import BaseSpec
from sweeps.core.weight_addresses import address_problem, is_of_hub

LEADING_OUT = [
    "http://example.org/../model.pkl",
    "https://example.org/a/../../model.pkl",
    "https://example.org/a/%2e%2E/model.pkl",
    "https://example.org/a/.%2e/model.pkl",
    "https://example.org/a%2f..%2fmodel.pkl",
    "https://example.org/a/%252e%252e/model.pkl",
    "https://example.org/model.pkl?name=/..",
    "https://example.org/model.pkl#/../x",
    "https://example.org/..",
    "https://example.org/a/.\t./model.pkl",
    "https://example.org/a\\..\\model.pkl",
    "ftp://example.org/../model.pkl",
    "detectron2://../model.pkl",
    "catalog://../model.pkl",
    "HTTPS://../model.pkl",
    "../../a://model.pkl",
]


@pytest.mark.parametrize("address", LEADING_OUT)
def test_addresses_that_lead_out_are_refused_wherever_they_come_from(address: str):
    """Before a sweep is created, and again where a trial would fetch them: nothing is asked for."""
    assert address_problem(address) is not None
    issue = weights_issue(address)
    assert issue is not None
    assert issue.path == "base.weights"
    with pytest.raises(WeightsDoNotFit, match=r"^weights: .+(needs|is not one of)"):
        load_weights(nn.Linear(3, 2), address)


@pytest.mark.parametrize(
    "address",
    [
        "https://dl.fbaipublicfiles.com/detectron2/ImageNetPretrained/MSRA/R-50.pkl",
        "http://localhost:9000/models/a..b/v1.2/...pth?versionId=a..b",
        "https://user@example.org/%20a.pth",
        "detectron2://ImageNetPretrained/MSRA/R-50.pkl",
        "catalog://ImageNetPretrained/MSRA/R-50",
    ],
)
def test_addresses_with_dots_in_names_are_fetched(address: str):
    """Only a name that is two dots and nothing else leads up."""
    assert address_problem(address) is None
    assert weights_issue(address) is None


def test_a_config_fetches_no_other_that_leads_out(tmp_path: Path):
    """What `_BASE_` names is kept in the same directory."""
    (tmp_path / "a.yaml").write_text("_BASE_: https://example.invalid/../../a.yaml\n")
    (issue,) = base_issues(BaseSpec(file=str(tmp_path / "a.yaml"), weights="none"))
    assert str(issue).startswith(
        f"base.file: _BASE_ of {tmp_path}/a.yaml: got https://example.invalid/../../a.yaml, "
        "but needs an address without .. between its slashes"
    )


def test_the_scheme_is_brought_to_small_letters():
    """Detectron2's library takes capital ones for a directory's name."""
    assert BaseSpec(preset="mask_rcnn_tiny", weights="HTTPS://example.org/A.pkl").weights == (
        "https://example.org/A.pkl"
    )
    hub = BaseSpec(preset="mask_rcnn_tiny", weights="Detectron2://ImageNetPretrained/MSRA/R-50.pkl").weights
    assert is_of_hub(hub)


def test_the_library_still_needs_it(tmp_path: Path):
    """An address that leads out of its directory is a file outside; the day it is not, this can go."""
    manager = PathManager()
    manager.register_handler(HTTPURLHandler())
    (tmp_path / "cache").mkdir()
    (tmp_path / "secret.pkl").touch()
    found = manager.get_local_path("https://example.invalid/../secret.pkl", cache_dir=str(tmp_path / "cache"))
    assert Path(found).resolve() == tmp_path / "secret.pkl"
