"""Checks of COCO annotations, without torch or Detectron2."""
