"""Optimisation (inventory family O)."""
