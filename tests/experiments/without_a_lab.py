"""What the tests of experiments need instead of a lab."""

import jax


class FakeLab:
  """A lab for experiments that fit nothing."""

  seed = 0

  def key(self, name):
    return jax.random.fold_in(jax.random.key(0), len(name))


def failed(report):
  """The claims of a report that do not hold, with what was measured."""
  return [f"{claim.what}: {claim.ours}" for claim in report.claims if claim.verdict == "fail"]
