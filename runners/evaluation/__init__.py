"""Evaluation: one inference pass, then COCO average precision."""
