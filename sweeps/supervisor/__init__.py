"""Keeps the drivers of submitted sweeps alive, one each, and shares the pool among them."""
