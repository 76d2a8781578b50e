"""Experiments that compile in a blink, and the command line as a function, for tests of launcher and lab."""

import os
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import launch
from research.batch import Batch
from research.config import pytree_config, static, traced
from research.data import sampling
from research.lab import registry
from research.lab.experiment import Experiment, single_fit
from research.learner import Learner
from research.metrics import Mean
from research.report import Claim, Picture, Report, at_least
from research.training import Training

FEATURES, CLASSES, EXAMPLES = 4, 3, 30


@pytree_config
class Config:
  """The settings of a linear net with noise."""

  width: int = static(5, "hidden units", at_least=1)
  kind: str = static("plain", "whatever", choices=("plain", "fancy"))
  steps: int = static(40, "updates", at_least=1)
  noise: float = traced(0.1, "of the gradient", at_least=0, at_most=1)
  fatal_step: float = traced(-1.0, "the step whose loss is not a number")
  learning_rate: float = traced(0.5, "step size", at_least=0)


class State(NamedTuple):
  step: jax.Array
  key: jax.Array
  params: dict[str, jax.Array]


def _init(config, key):
  first, second, own = jax.random.split(key, 3)
  params = {
    "W": jax.random.normal(first, (FEATURES, config.width)),
    "V": jax.random.normal(second, (config.width, CLASSES)),
  }
  return State(jnp.int32(0), own, params)


def _losses(params, batch):
  logits = batch["image"] @ params["W"] @ params["V"]
  return jax.nn.logsumexp(logits, axis=-1) - jnp.take_along_axis(
    logits, batch["label"][:, None], axis=-1
  ).squeeze(-1), jnp.argmax(logits, axis=-1) == batch["label"]


def _step(config, state, batch):
  is_fatal = state.step == config.fatal_step
  mean = lambda params: jnp.where(is_fatal, jnp.nan, 1.0) * _losses(params, batch)[0].mean()
  loss, gradients = jax.value_and_grad(mean)(state.params)
  noise = config.noise * jax.random.normal(jax.random.fold_in(state.key, state.step))
  move = lambda w, g: w - config.learning_rate * (1 + noise) * g
  return State(state.step + 1, state.key, jax.tree.map(move, state.params, gradients)), {
    "loss": loss
  }


def _evaluate(config, state, batch: Batch):
  losses, hits = _losses(state.params, batch)
  weight = batch.get("weight", jnp.ones(len(losses)))
  mean = lambda values: Mean(jnp.sum(weight * values), weight.sum())
  return {"loss": mean(losses), "accuracy": mean(hits)}


LEARNER = Learner(_init, _step, _evaluate)


def data(seed=0):
  rng = np.random.default_rng(seed)
  image = rng.normal(size=(EXAMPLES, FEATURES)).astype(np.float32)
  return {"image": image, "label": (np.abs(image[:, :CLASSES]).argmax(axis=1)).astype(np.int32)}


def training(config, seed=0, **changes):
  made = Training(
    LEARNER,
    data(),
    sampling.by_epoch(5),
    steps=config.steps,
    evaluate={"test": data(1)},
    evaluate_every=10,
    log_every=5,
    best="test/accuracy",
  )
  return made._replace(**changes)


def report(config, fit):
  return Report(
    [Claim("C06", "test accuracy", "1 %", fit.last("test/accuracy"), at_least(0.01), "%")],
    [Picture("curve", Figure(figsize=(1, 1)), "Nothing.")],
  )


def two_fits(config, lab):
  first = lab.fit("first", config, training(config))
  second = lab.fit("second", config, training(config, best="test/loss"))
  again = lab.fit("first", config, training(config))
  third = lab.fit("third", config, training(config))
  assert again.history == first.history
  return report(config, third if second.history else first)


ONE = single_fit(Config, training, report)
SEVERAL = Experiment(Config, two_fits)
DOCUMENTATION = "A tiny net.\n\nIt takes no time.\n"


def install(monkeypatch, tmp_path, **experiments):
  """Adds the experiments to the catalogue, in a family "tiny", and works in `tmp_path`."""
  real = registry.catalogue()
  entries = {name: registry.Entry(name, "tiny", DOCUMENTATION) for name in experiments}
  monkeypatch.setattr(registry, "catalogue", lambda root=None: real | entries)
  for name, experiment in experiments.items():
    _set(monkeypatch, name, experiment)
  monkeypatch.chdir(tmp_path)
  monkeypatch.delenv("LINEAGE_DATA_DIR", raising=False)


def change_net(monkeypatch, *, training=training, report=report):
  """Replaces parts of the installed "tiny_net"."""
  _set(monkeypatch, "tiny_net", single_fit(Config, training, report))


def _set(monkeypatch, name, experiment):
  module = ModuleType(name)  # Hypothesis hashes all modules, which a namespace is not made for
  vars(module).update(__file__=f"{name}.py", experiment=experiment)
  monkeypatch.setitem(sys.modules, f"experiments.tiny.{name}", module)


def launched(capfd, *arguments, experiment="tiny_net"):
  """Runs the command line; returns (exit code, stdout, stderr)."""
  capfd.readouterr()
  named = [] if experiment is None else [f"--experiment={experiment}"]
  code = launch.main(["launch.py", *named, *map(str, arguments)])
  return code, *capfd.readouterr()


def refused(cli, *arguments, code=2, **options):
  """The one line with which the arguments are refused, without a trace on the disk."""
  before = everything_under(Path.cwd())
  answer, out, err = cli(*arguments, **options)
  assert answer == code, (out, err)
  assert everything_under(Path.cwd()) == before
  assert out == ""
  assert err.startswith("launch.py: ") and err.count("\n") == 1 and err.endswith("\n"), err
  return err


def everything_under(folder: Path):
  """All that is there, to see that nothing was written."""
  return {
    path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in [folder, *folder.rglob("*")]
  }


DEATH = "LINEAGE_TEST_DEATH"  # a file whose absence kills the worker, and who is not one


def mortal_training(config, seed):
  """`training`, at which a worker dies once."""
  mark, coordinator = os.environ[DEATH].rsplit(":", 1)
  if os.getpid() != int(coordinator) and not Path(mark).exists():
    Path(mark).touch()
    os.kill(os.getpid(), signal.SIGKILL)
  return training(config)
