"""Run folders, checkpoints, resume, and the running of experiments."""
