"""Configs of Detectron2's model zoo that train a mask head, and which of them have weights to start from."""

_COCO = "COCO-InstanceSegmentation/mask_rcnn"
_LVIS_05 = "LVISv0.5-InstanceSegmentation/mask_rcnn"
_LVIS_1 = "LVISv1-InstanceSegmentation/mask_rcnn"

WITH_WEIGHTS: tuple[str, ...] = (
    f"{_COCO}_R_50_FPN_1x.yaml",
    f"{_COCO}_R_50_FPN_3x.yaml",
    f"{_COCO}_R_50_C4_1x.yaml",
    f"{_COCO}_R_50_C4_3x.yaml",
    f"{_COCO}_R_50_DC5_1x.yaml",
    f"{_COCO}_R_50_DC5_3x.yaml",
    f"{_COCO}_R_101_FPN_3x.yaml",
    f"{_COCO}_R_101_C4_3x.yaml",
    f"{_COCO}_R_101_DC5_3x.yaml",
    f"{_COCO}_X_101_32x8d_FPN_3x.yaml",
    f"{_LVIS_05}_R_50_FPN_1x.yaml",
    f"{_LVIS_05}_R_101_FPN_1x.yaml",
    f"{_LVIS_05}_X_101_32x8d_FPN_1x.yaml",
    "Cityscapes/mask_rcnn_R_50_FPN.yaml",
    "Detectron1-Comparisons/mask_rcnn_R_50_FPN_noaug_1x.yaml",
    "Misc/cascade_mask_rcnn_R_50_FPN_1x.yaml",
    "Misc/cascade_mask_rcnn_R_50_FPN_3x.yaml",
    "Misc/cascade_mask_rcnn_X_152_32x8d_FPN_IN5k_gn_dconv.yaml",
    "Misc/mask_rcnn_R_50_FPN_1x_dconv_c3-c5.yaml",
    "Misc/mask_rcnn_R_50_FPN_3x_dconv_c3-c5.yaml",
    "Misc/mask_rcnn_R_50_FPN_3x_gn.yaml",
    "Misc/mask_rcnn_R_50_FPN_3x_syncbn.yaml",
    "Misc/scratch_mask_rcnn_R_50_FPN_3x_gn.yaml",
    "Misc/scratch_mask_rcnn_R_50_FPN_9x_gn.yaml",
    "Misc/scratch_mask_rcnn_R_50_FPN_9x_syncbn.yaml",
)

WITHOUT_WEIGHTS: tuple[str, ...] = (
    f"{_COCO}_R_50_FPN_1x_giou.yaml",
    f"{_LVIS_1}_R_50_FPN_1x.yaml",
    f"{_LVIS_1}_R_101_FPN_1x.yaml",
    f"{_LVIS_1}_X_101_32x8d_FPN_1x.yaml",
    "Misc/mask_rcnn_R_50_FPN_1x_cls_agnostic.yaml",
    "quick_schedules/cascade_mask_rcnn_R_50_FPN_inference_acc_test.yaml",
    "quick_schedules/cascade_mask_rcnn_R_50_FPN_instant_test.yaml",
    "quick_schedules/mask_rcnn_R_50_C4_GCV_instant_test.yaml",
    "quick_schedules/mask_rcnn_R_50_C4_inference_acc_test.yaml",
    "quick_schedules/mask_rcnn_R_50_C4_instant_test.yaml",
    "quick_schedules/mask_rcnn_R_50_C4_training_acc_test.yaml",
    "quick_schedules/mask_rcnn_R_50_DC5_inference_acc_test.yaml",
    "quick_schedules/mask_rcnn_R_50_FPN_inference_acc_test.yaml",
    "quick_schedules/mask_rcnn_R_50_FPN_instant_test.yaml",
    "quick_schedules/mask_rcnn_R_50_FPN_pred_boxes_training_acc_test.yaml",
    "quick_schedules/mask_rcnn_R_50_FPN_training_acc_test.yaml",
)

ZOO_CONFIGS: tuple[str, ...] = (*WITH_WEIGHTS, *WITHOUT_WEIGHTS)
"""Every YAML config of Detectron2 v0.6 whose model is a GeneralizedRCNN with MASK_ON."""
