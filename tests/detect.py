"""What a model finds in images that belong to no data set."""

from runners.evaluation.coco import ground_truth
from runners.evaluation.inference_pass import run_pass
from sweeps.core.inference import InferenceSettings, SettingsGrid

SETTINGS = InferenceSettings(0.5, 0.01, 0.5, 25)


def truth_of(images):
    """One square part in each image, by turns of two categories, and none of a third."""
    return ground_truth(
        {
            "images": [{"id": i["image_id"], "height": i["height"], "width": i["width"]} for i in images],
            "categories": [{"id": k, "name": f"part {k}"} for k in (1, 2, 3)],
            "annotations": [
                {
                    "id": i["image_id"],
                    "image_id": i["image_id"],
                    "category_id": 1 + i["image_id"] % 2,
                    "bbox": [10, 10, 40, 40],
                    "area": 1600,
                    "iscrowd": 0,
                    "segmentation": [[10, 10, 50, 10, 50, 50, 10, 50]],
                }
                for i in images
            ],
        }
    )


def detect(model, images, grid=None, settings=SETTINGS, **options):
    """One item an image; by default with settings of which an untrained model finds something."""
    done = run_pass(model, truth_of(images), images, grid or SettingsGrid.single(settings), **options)
    return [done.detections(image, settings) for image in done.images]
