"""Detectron2 training: configs, mask heads, data, the trainer and the worker that runs trials."""
