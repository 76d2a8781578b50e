"""Sequences and attention (inventory family S)."""
