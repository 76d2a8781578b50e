"""Reinforcement learning (inventory family Q)."""
