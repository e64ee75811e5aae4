"""Augmentations of training samples, and how annotations follow the image through them."""
