"""The command line: flags, and the commands that run experiments."""
