"""Choosing the next step: what a number says about data, net and labels (inventory family N)."""
