"""What the tests of experiments need instead of a lab."""

import jax

from research.training import Fit


class FakeLab:
  """A lab for experiments that fit nothing."""

  seed = 0

  def key(self, name):
    return jax.random.fold_in(jax.random.key(0), len(name))


class UntrainedLab(FakeLab):
  """A lab whose fits end where they begin, with a half for every metric: nothing is compiled."""

  def keep(self, name, content):
    pass

  def fit(self, name, config, training):
    learner = training.learner
    state = jax.jit(learner.init)(config, self.key(name))
    batches = {"train": training.data, **training.evaluate}
    batches = {split: {k: a[:2] for k, a in data.items()} for split, data in batches.items()}
    found = {"train": jax.eval_shape(learner.step, config, state, batches["train"])[1]}
    for split in training.evaluate:
      found[split] = jax.eval_shape(learner.evaluate, config, state, batches[split])
    row = {f"{split}/{metric}": 0.5 for split, metrics in found.items() for metric in metrics}
    history = [{"fit": name, "step": step, **row} for step in (0, training.steps)]
    return Fit(name, config, state, history, lambda: state, training)

  def compare(self, name, configs, training, *, repeats=1):
    return {
      member: [
        self.fit(f"{name} {member} {number}", config, training(config, self.seed))
        for number in range(repeats)
      ]
      for member, config in configs.items()
    }


def failed(report):
  """The claims of a report that do not hold, with what was measured."""
  return [f"{claim.what}: {claim.ours}" for claim in report.claims if claim.verdict == "fail"]
