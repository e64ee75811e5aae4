"""The audit of a sweep's data: each fault with its exact message."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runners.annotations.audit import DataReport, audit
from sweeps.core.spec import parse_spec

Documents = dict[str, dict[str, Any]]

SPEC = """
version: 1
name: small
dataset:
  train: {annotations: train.json, images: images}
  val: {annotations: val.json, images: images}
base: {preset: mask_rcnn_tiny}
"""


def good() -> Documents:
    """Two documents of two images each, with polygons, an RLE and a crowd region; nothing is wrong."""
    documents = {}
    for split in ("train", "val"):
        square = [[10, 10, 20, 10, 20, 20, 10, 20]]
        code = {"size": [60, 80], "counts": [0, 30, 4770]}
        common = {"iscrowd": 0, "area": 100, "bbox": [10, 10, 10, 10]}
        documents[split] = {
            "images": [
                {"id": number, "file_name": f"{split}{number}.png", "width": 80, "height": 60}
                for number in (1, 2)
            ],
            "annotations": [
                {"id": 1, "image_id": 1, "category_id": 1, "segmentation": square, **common},
                {"id": 2, "image_id": 1, "category_id": 2, "segmentation": code, **common, "area": 2000},
                {"id": 3, "image_id": 2, "category_id": 1, "segmentation": square, **common},
                {"id": 4, "image_id": 2, "category_id": 2, "segmentation": code, **common, "iscrowd": 1},
            ],
            "categories": [{"id": 1, "name": "gear"}, {"id": 2, "name": "washer"}],
        }
    plain: Documents = json.loads(json.dumps(documents))  # no record is shared
    return plain


def run(directory: Path, documents: dict[str, Any], extra: str = "") -> DataReport:
    (directory / "images").mkdir(exist_ok=True)
    for split in ("train", "val"):
        for number in (1, 2):
            Image.new("RGB", (80, 60)).save(directory / "images" / f"{split}{number}.png")
        document = documents[split]
        text = document if isinstance(document, str) else json.dumps(document)
        (directory / f"{split}.json").write_text(text)
    return audit(parse_spec(SPEC + extra, directory))


def texts(issues: Any, directory: Path) -> list[str]:
    return [str(issue).replace(str(directory), "DIR") for issue in issues]


def test_good_data_has_no_issue(tmp_path: Path) -> None:
    """Sound data passes without a remark, and is counted."""
    report = run(tmp_path, good())
    assert (report.issues, report.notes) == ((), ())
    assert report.categories == ("gear", "washer")
    assert (report.train.images, report.train.instances, report.train.crowds) == (2, 3, 1)
    assert report.val.sizes == {"small": 2, "medium": 1, "large": 0}
    assert report.val.by_category == {"gear": 2, "washer": 1}


Mutation = Callable[[Documents], object]
TRAIN, VAL = "dataset.train.annotations", "dataset.val.annotations"


def first(documents: Documents, split: str = "train") -> dict[str, Any]:
    annotation: dict[str, Any] = documents[split]["annotations"][0]
    return annotation


HUGE = 10**400
SHOWN = "a whole number of more than 60 digits"

CASES: dict[str, tuple[Mutation, list[str]]] = {
    "no images": (
        lambda d: d["val"].update(images=[], annotations=[]),
        [f"{VAL}: no images", f"{VAL}: no annotations at all"],
    ),
    "no annotations": (lambda d: d["train"].update(annotations=[]), [f"{TRAIN}: no annotations at all"]),
    "no categories": (
        lambda d: d["train"].update(categories=[], annotations=d["train"]["annotations"][:1]),
        [
            f"{TRAIN}: no categories",
            f"{TRAIN}: annotations that point to no category: annotation 1 (category_id 1)",
        ],
    ),
    "only crowds": (
        lambda d: [item.update(iscrowd=1) for item in d["val"]["annotations"]],
        [f"{VAL}: nothing but crowd regions (4) (hint: instances have iscrowd: 0)"],
    ),
    "numbers of 400 digits": (
        lambda d: (
            first(d).update(area=HUGE, bbox=[HUGE, 1, 2, 3], segmentation=[[HUGE, 1, 2, 3, 4, 5]]),
            d["train"]["annotations"][1].update(segmentation={"size": [60, 80], "counts": [HUGE]}),
            d["train"]["annotations"][2].update(segmentation={"size": [HUGE, 80], "counts": [4800]}),
            d["train"]["annotations"][3].update(image_id=HUGE),
            d["val"]["images"][0].update(width=HUGE),
            first(d, "val").update(area=HUGE),
        ),
        [
            f"{TRAIN}: annotations without a bbox [x, y, width, height] of positive width and height:"
            f" annotation 1 ([{SHOWN}, 1, 2, 3])",
            f"{TRAIN}: malformed segmentations:"
            " annotation 1 (got a polygon with a coordinate that is not a finite number),"
            f" annotation 2 (got RLE counts for {SHOWN} of 4800 pixels),"
            f" annotation 3 (got RLE size [{SHOWN}, 80] for an image of height 60 and width 80)",
            f"{TRAIN}: annotations that point to no image: annotation 4 (image_id {SHOWN})",
            f"{VAL}: images without a width and a height from 1 to 1000000 px:"
            f" image 1 (width {SHOWN}, height 60)",
            f"{VAL}: annotations without an area above 0: annotation 1 ({SHOWN})"
            " (hint: scores by size need it: the area of the segmentation in px²)",
        ],
    ),
    "half characters": (
        lambda d: (
            first(d).update(segmentation={"size": [60, 80], "counts": "\ud800"}),
            d["val"]["annotations"][1].update(segmentation={"size": [60, 80], "counts": "o" * 1000}),
        ),
        [
            f"{TRAIN}: malformed segmentations: annotation 1 (got RLE counts that are not run lengths)",
            f"{VAL}: malformed segmentations: annotation 2 (got RLE counts that are not run lengths)",
        ],
    ),
    "not COCO": (
        lambda d: (d["train"].pop("images"), d["train"].update(categories={})),
        [
            f"{TRAIN}: not COCO: images and categories missing or not a list"
            " (hint: it takes COCO's instances JSON)"
        ],
    ),
    "points to no image": (
        lambda d: [item.update(image_id=99) for item in d["train"]["annotations"][:2]],
        [
            f"{TRAIN}: annotations that point to no image:"
            " annotation 1 (image_id 99), annotation 2 (image_id 99)",
        ],
    ),
    "points to no category": (
        lambda d: first(d).update(category_id="gear"),
        [f"{TRAIN}: annotations that point to no category: annotation 1 (category_id gear)"],
    ),
    "repeated annotation ids": (
        lambda d: [item.update(id=7) for item in d["val"]["annotations"]],
        [f"{VAL}: annotation ids used more than once: 7"],
    ),
    "repeated image ids": (
        lambda d: d["train"]["images"].append({**d["train"]["images"][0], "file_name": "train2.png"}),
        [f"{TRAIN}: image ids used more than once: 1"],
    ),
    "repeated categories": (
        lambda d: [d[split]["categories"].append({"id": 2, "name": "gear"}) for split in d],
        [
            f"{path}: {problem}"
            for path in (TRAIN, VAL)
            for problem in (
                "category ids used more than once: 2",
                "category names used more than once: gear (ids 1, 2)",
            )
        ],
    ),
    "ids that are none": (
        lambda d: (
            d["train"]["images"][1].update(id="b"),
            d["train"]["annotations"].pop(),
            d["train"]["annotations"].pop(),
            first(d).pop("id"),
        ),
        [
            f"{TRAIN}: images without a whole id from 0 to 2**63 - 1: images[1] (b)",
            f"{TRAIN}: annotations without a whole id from 0 to 2**63 - 1: annotations[0] (null)",
        ],
    ),
    "bad boxes": (
        lambda d: (
            first(d).update(bbox=[1, 2, -1, 4]),
            d["train"]["annotations"][1].update(bbox=[1, float("nan"), 3, 4]),
            d["train"]["annotations"][2].update(bbox=[1, 2, 3]),
            d["train"]["annotations"][3].pop("bbox"),
        ),
        [
            f"{TRAIN}: annotations without a bbox [x, y, width, height] of positive width and height:"
            " annotation 1 ([1, 2, -1, 4]),"
            " annotation 2 ([1, nan, 3, 4]), annotation 3 ([1, 2, 3]) and 1 more",
        ],
    ),
    "boxes only": (
        lambda d: [item.pop("segmentation") for item in d["train"]["annotations"]],
        [
            f"{TRAIN}: annotations without a segmentation: annotation 1, annotation 2, annotation 3"
            " and 1 more (hint: masks are learnt from polygons or RLE; boxes are not enough)",
        ],
    ),
    "odd polygon": (
        lambda d: (
            first(d).update(segmentation=[[1, 2, 3, 4, 5, 6, 7]]),
            first(d, "val").update(segmentation=[[1, 2, 3, 4]]),
        ),
        [
            f"{TRAIN}: malformed segmentations: annotation 1 (got a polygon of 7 coordinates)",
            f"{VAL}: malformed segmentations: annotation 1 (got a polygon of 4 coordinates)",
        ],
    ),
    "flat polygon": (
        lambda d: d["val"]["annotations"][0].update(segmentation=[[1, 2, 5, 2, 9, 2]]),
        [f"{VAL}: malformed segmentations: annotation 1 (got polygons without an area)"],
    ),
    "slanted polygon without an area": (
        lambda d: d["val"]["annotations"][0].update(segmentation=[[1, 2, 5, 4, 9, 6]]),
        [f"{VAL}: malformed segmentations: annotation 1 (got polygons without an area)"],
    ),
    "bow tie": (lambda d: first(d, "val").update(segmentation=[[1, 1, 9, 9, 9, 1, 1, 9]]), []),
    "polygon of words": (
        lambda d: (
            first(d).update(segmentation=[[1, 2, 3, 4, 5, "6"]]),
            d["train"]["annotations"][2].update(segmentation=[1, 2, 3, 4, 5, 6]),
        ),
        [
            f"{TRAIN}: malformed segmentations:"
            " annotation 1 (got a polygon with a coordinate that is not a finite number),"
            " annotation 3 (got a polygon that is not a list of numbers)",
        ],
    ),
    "RLE of another size": (
        lambda d: d["val"]["annotations"][1].update(segmentation={"size": [80, 60], "counts": [0, 30, 4770]}),
        [
            f"{VAL}: malformed segmentations:"
            " annotation 2 (got RLE size [80, 60] for an image of height 60 and width 80)",
        ],
    ),
    "RLE too short": (
        lambda d: d["val"]["annotations"][1]["segmentation"].update(counts=[10, 20]),
        [f"{VAL}: malformed segmentations: annotation 2 (got RLE counts for 30 of 4800 pixels)"],
    ),
    "RLE cut off": (
        lambda d: d["val"]["annotations"][1]["segmentation"].update(counts="0N[T"),
        [f"{VAL}: malformed segmentations: annotation 2 (got RLE counts that are not run lengths)"],
    ),
    "RLE of nothing": (
        lambda d: d["val"]["annotations"][1]["segmentation"].update(counts=[4800]),
        [f"{VAL}: malformed segmentations: annotation 2 (got an RLE that covers no pixel)"],
    ),
    "no area": (
        lambda d: (first(d).update(area=0), first(d, "val").update(area=0)),
        [
            f"{VAL}: annotations without an area above 0: annotation 1 (0)"
            " (hint: scores by size need it: the area of the segmentation in px²)",
        ],
    ),
    "ignore": (
        lambda d: first(d).update(ignore=1),
        [f"{TRAIN}: annotations with ignore set: annotation 1 (hint: regions to leave out have iscrowd: 1)"],
    ),
    "odd crowd": (
        lambda d: first(d).update(iscrowd=True),
        [f"{TRAIN}: annotations whose iscrowd is neither 0 nor 1: annotation 1 (true)"],
    ),
    "categories differ": (
        lambda d: d["val"].update(
            categories=[{"id": 1, "name": "cog"}, {"id": 2, "name": "washer"}, {"id": 3, "name": "nut"}]
        ),
        [
            f"{VAL}: categories differ from the training data's: only in validation: 3 nut;"
            " 1 is gear in training and cog in validation"
            " (hint: both files need the same ids and names under categories, used or not)",
        ],
    ),
    "images missing": (
        lambda d: d["train"]["images"][0].update(file_name="gone.png"),
        ["dataset.train.images: images that are not in DIR/images: gone.png"],
    ),
    "names that escape": (
        lambda d: (
            d["train"]["images"][0].update(file_name="../train.json"),
            d["train"]["images"][1].update(file_name="/etc/passwd"),
        ),
        [f"{TRAIN}: file names that lead out of the image folder: ../train.json, /etc/passwd"],
    ),
    "no size": (
        lambda d: (d["train"]["images"][0].pop("width"), d["train"]["images"][1].update(height=0)),
        [
            f"{TRAIN}: images without a width and a height from 1 to 1000000 px:"
            " image 1 (width null, height 60), image 2 (width 80, height 0)",
        ],
    ),
    "another size": (
        lambda d: (
            d["train"]["images"][0].update(width=60, height=80),
            d["train"].update(annotations=d["train"]["annotations"][2:]),
        ),
        [f"{TRAIN}: images with a wrong width or height: train1.png (60 x 80, but the file has 80 x 60)"],
    ),
    "not records": (
        lambda d: (
            d["train"]["images"].append(None),
            d["train"]["annotations"].append([1]),
            d["train"]["categories"].append("nut"),
        ),
        [
            f"{TRAIN}: categories that are not mappings: categories[2] (nut)",
            f"{TRAIN}: images that are not mappings: images[2] (null)",
            f"{TRAIN}: annotations that are not mappings: annotations[4] (a list of 1)",
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_fault_has_its_message(tmp_path: Path, name: str) -> None:
    """A fault is reported under the spec's path, names its records, and brings no other message with it."""
    mutate, expected = CASES[name]
    documents = good()
    mutate(documents)
    report = run(tmp_path, documents)
    assert texts(report.issues, tmp_path) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "not JSON: Expecting value: line 1 column 1 (char 0)"),
        ("{]", "not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (
            "[" * 100_000,
            "not JSON: nested too deeply",
        ),
        ("[]", "got an empty list, but needs a mapping of images, annotations, categories"),
        ("{}", "not COCO: images and annotations and categories missing or not a list"),
    ],
)
def test_files_that_are_no_coco(tmp_path: Path, text: str, expected: str) -> None:
    """What cannot be read as COCO is said in one message, and the other half is checked all the same."""
    documents: dict[str, Any] = good()
    first(documents, "val").update(image_id=5)
    report = run(tmp_path, {**documents, "train": text})
    issues = [(issue.path, issue.problem) for issue in report.issues]
    assert issues == [
        (TRAIN, expected),
        (VAL, "annotations that point to no image: annotation 1 (image_id 5)"),
    ]


def test_missing_files_and_folders(tmp_path: Path) -> None:
    """Paths that lead nowhere, or to the wrong kind of thing, are named."""
    run(tmp_path, good())
    (tmp_path / "train.json").unlink()
    (tmp_path / "val.json").unlink()
    (tmp_path / "val.json").mkdir()
    text = SPEC.replace("train.json, images: images", "train.json, images: nowhere")
    report = audit(
        parse_spec(text.replace("val.json, images: images", "val.json, images: images/val1.png"), tmp_path)
    )
    assert texts(report.issues, tmp_path) == [
        f"{TRAIN}: no such file: DIR/train.json",
        "dataset.train.images: no such directory: DIR/nowhere",
        f"{VAL}: cannot read DIR/val.json: Is a directory",
        "dataset.val.images: not a directory: DIR/images/val1.png",
    ]
    assert report.categories == ()


def test_files_that_are_no_images(tmp_path: Path) -> None:
    """A file that Pillow cannot open is named with the reason."""
    run(tmp_path, good())
    (tmp_path / "images" / "val1.png").write_text("hello")
    report = audit(parse_spec(SPEC, tmp_path))
    assert texts(report.issues, tmp_path) == [
        "dataset.val.images: images that cannot be opened: val1.png (not an image)"
    ]


@pytest.mark.parametrize(("width", "height", "faults"), [(60, 80, 0), (80, 60, 1)])
def test_sizes_are_those_after_turning(tmp_path: Path, width: int, height: int, faults: int) -> None:
    """A photo that its EXIF block turns on its side has the turned size, as training will see it."""
    documents = good()
    documents["train"]["images"][1].update(file_name="turned.jpg", width=width, height=height)
    documents["train"]["annotations"] = documents["train"]["annotations"][:3]
    exif = Image.Exif()
    exif[274] = 6
    (tmp_path / "images").mkdir()
    Image.new("RGB", (80, 60)).save(tmp_path / "images" / "turned.jpg", exif=exif)
    issues = run(tmp_path, documents).issues
    assert len(issues) == faults
    if faults:
        assert issues[0].problem.endswith("turned.jpg (80 x 60, but the file has 60 x 80)")
        assert str(issues[0].hint).startswith("the file's EXIF orientation turns it on its side")


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (
            "objectives: [{metric: segm/AP}, {metric: segm/APs}, {metric: segm/APm}, {metric: bbox/APl}]",
            [
                "objectives[3].metric: bbox/APl cannot be measured: no large validation instance"
                " (of 96 x 96 px and more), but 2 small, 1 medium"
                " (hint: this data can measure bbox/AP or bbox/APs or bbox/APm)"
            ],
        ),
        (
            "constraints: [{metric: segm/AP-gaer, min: 10}, {metric: latency/ms_per_image, max: 100}]",
            [
                "constraints[0].metric: got segm/AP-gaer, but gaer is not one of gear, washer"
                " (hint: did you mean gear?)"
            ],
        ),
        *(
            (
                f"constraints: [{{metric: {family}-gaer, max: 1}}, {{metric: {family}-gear, max: 1}}]",
                [
                    f"constraints[0].metric: got {family}-gaer, but gaer is not one of gear, washer"
                    " (hint: did you mean gear?)"
                ],
            )
            for family in (
                "op/F1",
                "op/score_threshold",
                "lrp/oLRP",
                "lrp/score_threshold",
                "boundary/AP",
                "bbox/AP",
            )
        ),
    ],
)
def test_metrics_that_the_data_cannot_measure(tmp_path: Path, extra: str, expected: list[str]) -> None:
    """Objectives and constraints that would come out as -1 are refused before anything trains."""
    assert texts(run(tmp_path, good(), extra).issues, tmp_path) == expected


def test_small_metrics_need_small_objects(tmp_path: Path) -> None:
    """An area of exactly 32 x 32 counts as small and as medium, as in COCO; one above it does not."""
    documents = good()
    objectives = "objectives: [{metric: segm/APs}, {metric: segm/APm}]"
    for item in documents["val"]["annotations"]:
        item["area"] = 1024
    assert run(tmp_path, documents, objectives).issues == ()
    for item in documents["val"]["annotations"]:
        item["area"] = 1025
    assert texts(run(tmp_path, documents, objectives).issues, tmp_path) == [
        "objectives[0].metric: segm/APs cannot be measured: no small validation instance (up to 32 x 32 px),"
        " but 3 medium, 0 large (hint: this data can measure segm/AP or segm/APm)"
    ]


def test_a_category_without_instances(tmp_path: Path) -> None:
    """It is worth a note, and a problem only for who asks for its score."""
    documents = good()
    documents["val"]["annotations"] = [
        item for item in documents["val"]["annotations"] if item["category_id"] == 1
    ]
    metrics = "segm/AP-washer", "op/F1-washer", "lrp/oLRP-washer"
    extra = f"objectives: [{', '.join(f'{{metric: {metric}}}' for metric in metrics)}]"
    report = run(tmp_path, documents, extra)
    assert texts(report.issues, tmp_path) == [
        f"objectives[{place}].metric: {metric} cannot be measured: no validation instance of washer"
        for place, metric in enumerate(metrics)
    ]
    assert texts(report.notes, tmp_path) == [f"{VAL}: categories without an instance: washer"]


def test_notes_are_no_issues(tmp_path: Path) -> None:
    """What one can live with is said apart: shared images, empty images, one file twice, 16-bit images."""
    documents = good()
    documents["val"]["images"][0]["file_name"] = "train1.png"
    documents["train"]["images"].append({"id": 3, "file_name": "train1.png", "width": 80, "height": 60})
    documents["train"]["images"].append({"id": 4, "file_name": "deep.png", "width": 8, "height": 6})
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((6, 8), dtype=np.uint16)).save(tmp_path / "images" / "deep.png")
    report = run(tmp_path, documents)
    assert report.issues == ()
    assert texts(report.notes, tmp_path) == [
        f"{TRAIN}: file names of more than one image: train1.png",
        "dataset.train.images: 16-bit images, of which the upper 8 bits are used: deep.png",
        f"{TRAIN}: images without an instance (training leaves them out): train1.png, deep.png",
        f"{VAL}: validation images that are training images too, which flatters every score: train1.png",
    ]


def test_a_few_degenerate_training_annotations_are_no_reason_to_refuse_a_set(tmp_path: Path) -> None:
    """Large public sets have boxes of no height and flat polygons: training leaves them out, with a note."""
    documents = good()
    documents["train"]["annotations"][0]["bbox"] = [1, 2, 0, 4]
    documents["train"]["annotations"][1]["segmentation"] = [[1, 2, 5, 2, 9, 2]]
    report = run(tmp_path, documents)
    assert report.issues == ()
    assert texts(report.notes, tmp_path) == [
        f"{TRAIN}: annotations of no width or height, left out of training: annotation 1",
        f"{TRAIN}: segmentations without an area, left out of training: annotation 2",
    ]


def test_areas_that_are_absent_are_those_of_the_masks(tmp_path: Path) -> None:
    """Evaluation computes them, so that a validation file without areas can measure what its masks can."""
    documents = good()
    for split in documents.values():
        for item in split["annotations"]:
            del item["area"]
    documents["val"]["annotations"][1]["segmentation"] = {"size": [60, 80], "counts": [0, 900, 3900]}
    report = run(tmp_path, documents, "objectives: [{metric: segm/APm}]")
    assert texts(report.issues, tmp_path) == [
        "objectives[0].metric: segm/APm cannot be measured: no medium validation instance"
        " (from 32 x 32 to 96 x 96 px), but 3 small, 0 large"
        " (hint: this data can measure segm/AP or segm/APs)"
    ]
    documents["val"]["annotations"][1]["segmentation"]["counts"] = [2800, 2000]
    report = run(tmp_path, documents, "objectives: [{metric: segm/APm}]")
    assert report.val.sizes == {"small": 2, "medium": 1, "large": 0}
    assert report.issues == ()
    assert texts(report.notes, tmp_path) == [
        f"{VAL}: annotations without an area, of which the mask's is used:"
        " annotation 1, annotation 2, annotation 3 and 1 more"
    ]


def test_polygons_that_detectron2_skips_are_left_out_of_training(tmp_path: Path) -> None:
    """A line or a point among a part's polygons is worth a note; where models are scored it is an error."""
    documents = good()
    for split in documents:
        first(documents, split)["segmentation"].append([1, 1, 5, 5])
    documents["train"]["annotations"][2]["segmentation"] = [[1, 1]]
    report = run(tmp_path, documents)
    assert texts(report.issues, tmp_path) == [
        f"{VAL}: malformed segmentations: annotation 1 (got a polygon of 4 coordinates)"
    ]
    assert texts(report.notes, tmp_path) == [
        f"{TRAIN}: polygons of fewer than three corners, left out of training: annotation 1, annotation 3"
    ]


def test_links_in_the_folder_may_lead_anywhere(tmp_path: Path) -> None:
    """Only names are kept inside the folder: its owner may link to another disk."""
    run(tmp_path, good())
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    (tmp_path / "images").mkdir()
    for file in (tmp_path / "elsewhere").iterdir():
        os.symlink(file, tmp_path / "images" / file.name)
    assert audit(parse_spec(SPEC, tmp_path)).issues == ()


def test_all_problems_at_once(tmp_path: Path) -> None:
    """Faults of both halves and of the objectives come in one report."""
    documents = good()
    first(documents).update(image_id=9)
    first(documents, "val").pop("segmentation")
    documents["val"]["images"][1]["file_name"] = "gone.png"
    report = run(tmp_path, documents, "objectives: [{metric: segm/APl}]")
    assert [issue.path for issue in report.issues] == [
        TRAIN,
        VAL,
        "dataset.val.images",
        "objectives[0].metric",
    ]


def test_the_fingerprint_follows_the_data(tmp_path: Path) -> None:
    """It stays while nothing changes, wherever the files lie, and follows annotations and image files."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    before = run(tmp_path / "a", good()).fingerprint
    assert run(tmp_path / "b", good()).fingerprint == before
    documents = good()
    first(documents)["bbox"] = [10, 10, 11, 10]
    assert run(tmp_path / "a", documents).fingerprint != before
    assert run(tmp_path / "a", good()).fingerprint == before
    Image.effect_noise((80, 60), 50).save(tmp_path / "a" / "images" / "val2.png")
    assert audit(parse_spec(SPEC, tmp_path / "a")).fingerprint != before


def test_large_files_take_seconds(tmp_path: Path) -> None:
    """20,000 annotations with 30 corners each are checked in a few seconds."""
    documents = good()
    ring = [coordinate for step in range(30) for coordinate in (10.5 + step, 10.25 + step % 7)]
    template = first(documents)
    documents["train"]["annotations"] = [
        {**template, "id": number, "image_id": 1 + number % 2, "segmentation": [ring]}
        for number in range(20_000)
    ]
    start = time.process_time()
    report = run(tmp_path, documents)
    assert report.train.instances == 20_000
    assert time.process_time() - start < 6


def test_a_bin_too_thin_to_measure_is_refused(tmp_path: Path) -> None:
    """With fewer than 20 instances chance would choose: the counts are told, and what can be measured."""
    documents = good()
    documents["val"]["annotations"] += [
        {**documents["val"]["annotations"][0], "id": number, "area": 300} for number in range(10, 30)
    ]
    spec = (
        "objectives: [{metric: segm/AP_small}, {metric: segm/AP_tiny_low}]\n"
        "constraints: [{metric: segm/AP_plate, min: 20}]\n"
        "metrics: {size_bins: {plate: [40, 50]}}"
    )
    needs = "validation instances of {} px, but needs 20; there are {}"
    hint = "(hint: this data can measure segm/AP or segm/AP_small)"
    assert texts(run(tmp_path, documents, spec).issues, tmp_path) == [
        "objectives[1].metric: segm/AP_tiny_low cannot tell trials apart: 2 "
        f"{needs.format('8 to 16', '0 vtiny, 20 small, 1 plate')} {hint}",
        "constraints[0].metric: segm/AP_plate cannot tell trials apart: 1 "
        f"{needs.format('40 to 50', '0 vtiny, 2 tiny, 20 small')} {hint}",
    ]


def test_overlap_is_no_objective_where_nothing_overlaps(tmp_path: Path) -> None:
    """Crowded, occluded and touching instances are counted before training too, if they are asked for."""
    spec = "objectives: [{metric: overlap/AP}, {metric: overlap/merge_rate}, {metric: overlap/split_rate}]"
    needs = "but needs 20 (hint: this data can measure segm/AP)"
    assert texts(run(tmp_path, good(), spec).issues, tmp_path) == [
        f"objectives[0].metric: overlap/AP cannot tell trials apart: 2 such validation instances, {needs}",
        f"objectives[1].metric: overlap/merge_rate cannot tell trials apart: 0 touching pairs, {needs}",
    ]
    documents = good()
    square = documents["val"]["annotations"][0]
    beside = [[20, 10, 30, 10, 30, 20, 20, 20]]
    documents["val"]["annotations"] = [
        {**square, "id": number, "segmentation": square["segmentation"] if number % 2 else beside}
        for number in range(14)
    ]
    assert run(tmp_path, documents, "objectives: [{metric: overlap/merge_rate}]").issues == ()


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_an_image_that_is_cut_off_is_found(tmp_path: Path, suffix: str) -> None:
    """A download that broke off has a good header; its end is looked at. What is appended does no harm."""
    documents = good()
    for record, name in zip(documents["train"]["images"], ("cut", "longer"), strict=True):
        record["file_name"] = f"{name}.{suffix}"
    images = tmp_path / "images"
    images.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    for name in ("cut", "longer"):
        Image.fromarray(noise).save(images / f"{name}.{suffix}")
    whole = (images / f"cut.{suffix}").read_bytes()
    (images / f"cut.{suffix}").write_bytes(whole[: len(whole) * 2 // 3])
    (images / f"longer.{suffix}").write_bytes(whole + b"appended by a camera")
    (issue,) = run(tmp_path, documents).issues
    assert issue.path == "dataset.train.images"
    assert issue.problem.startswith(f"images that are cut off: cut.{suffix} (image file is truncated")
