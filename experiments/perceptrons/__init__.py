"""Perceptrons and forward nets (inventory family P)."""
