"""Evaluation: one inference pass, then one evaluator for everything that is measured on its detections."""
