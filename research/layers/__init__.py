"""Layers that the models are made of."""
