"""Settings and search spaces of a tiny sweep, and the rows of its study."""

import sqlite3

from research.sweep.plan import Settings

SETTINGS = Settings(
  trials=7, sampler="random", stopper="none", rounds=1, objective="test/accuracy", slots=3
)
SPACE = "learning_rate=log(1e-3,10); noise=uniform(0,0.5)"
WITH_WIDTHS = "learning_rate=log(1e-3,10); width=choice(3,5)"


def rows(folder):
  connection = sqlite3.connect(folder / "study.sqlite")
  found = connection.execute("SELECT * FROM events ORDER BY number").fetchall()
  connection.close()
  return found
