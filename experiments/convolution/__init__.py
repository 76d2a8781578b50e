"""Convolution (inventory family C)."""
