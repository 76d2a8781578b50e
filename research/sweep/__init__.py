"""Hyper-parameter search: a space, a search through it, early stopping, and a durable study."""
