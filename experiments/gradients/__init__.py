"""Losses, numerical gradients and gradient descent (inventory family L)."""
