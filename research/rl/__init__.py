"""Reinforcement learning: environments, replay and agents as pure functions."""
