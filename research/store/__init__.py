"""Storage of a run: checkpoints, logs, files and locks, signals, progress."""
