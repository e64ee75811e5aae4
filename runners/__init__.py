"""What runs on the GPU pool: the driver, its Tune adapters, Detectron2 training and evaluation."""
