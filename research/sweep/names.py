"""The names of samplers and stoppers; a command line reads them without importing JAX."""

SAMPLERS = ("random", "grid", "halton", "sobol", "tpe", "gp", "cmaes")
STOPPERS = ("none", "asha", "halving", "hyperband", "median", "pbt")
