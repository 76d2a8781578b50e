"""Ahead-of-time plans: a training compiled for a machine that is not here."""
