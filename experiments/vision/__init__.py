"""Seeing and being deceived (inventory family V)."""
