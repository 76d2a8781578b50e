"""Experiments, one module each, in families that follow the inventory."""
