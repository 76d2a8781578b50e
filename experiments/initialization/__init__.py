"""Initialisation and normalisation (inventory family I)."""
