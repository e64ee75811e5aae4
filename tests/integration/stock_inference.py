"""Detectron2's own way from a model to its detections: what others are compared with."""

import hotcoco.mask
import numpy as np
import torch
from detectron2.modeling.postprocessing import detector_postprocess

from runners.evaluation.detections import Detections


def stock_outputs(model, inputs, rule, batch_size=8):
    """Raw outputs of the model run with a score threshold, NMS threshold and number of detections."""
    predictors = model.roi_heads.box_predictor
    for one in predictors if isinstance(predictors, torch.nn.ModuleList) else [predictors]:
        one.test_score_thresh, one.test_nms_thresh, one.test_topk_per_image = rule
    found = []
    with torch.inference_mode():
        for start in range(0, len(inputs), batch_size):
            found += model.inference(inputs[start : start + batch_size], do_postprocess=False)
    return found


def stock_detections(outputs, inputs, mask_threshold):
    """Raw outputs with their masks pasted at a threshold."""
    found = []
    for item, raw in zip(inputs, outputs, strict=True):
        kept = raw[list(range(len(raw)))]
        kept.pred_boxes = kept.pred_boxes.clone()  # they are scaled in place
        done = detector_postprocess(kept, item["height"], item["width"], mask_threshold)
        planes = done.pred_masks.numpy().view(np.uint8)
        found.append(
            Detections(
                image_id=item["image_id"],
                boxes=done.pred_boxes.tensor.numpy(),
                scores=done.scores.numpy(),
                classes=done.pred_classes.numpy(),
                masks=[hotcoco.mask.encode(np.asfortranarray(plane)) for plane in planes],
            )
        )
    return found
