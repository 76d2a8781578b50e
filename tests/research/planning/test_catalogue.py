"""Every learner of the catalogue can be lowered for accelerators, or says why not in one line."""

import functools

import jax
import numpy as np
import pytest

from research.cli.first_fit import first_training
from research.compile import compile_learner, step_work
from research.errors import UserError
from research.target_platform import compiling_for
from research.training import on_device
from tests.fixtures import single_fits

PLATFORMS = {"gpu": "cuda", "tpu": "tpu"}  # ours, and XLA's name for what is lowered
SEVERAL_FITS = ("deep_belief_net", "generative_discriminative", "two_layer_net", "wake_sleep")
ON_THE_HOST = ("dqn_atari", "dqn_gymnasium")  # their environments are Python
IN_SHORT = ("dense_classifier", "digits_convnet")
NAMES = sorted([*single_fits.NAMES, *SEVERAL_FITS])


def lowered(monkeypatch, name, platform):
  """The text of the step and of the evaluation of an experiment's first fit, at a tiny size."""
  experiment, config, _ = single_fits.small(monkeypatch, name)
  with compiling_for(platform):
    config, training = first_training(experiment, config, 0, "lowering")
    config, learner = on_device(config), training.learner
    step_work(learner, training.sampler, config, training.data)
    program = compile_learner(learner, training.sampler, training.evaluation_batch_size)
    key = jax.random.key(0)
    state = jax.eval_shape(learner.init, config, key)
    calls = [
      program.steps.trace(2, config, state, dict(training.data), key, np.int32(0)),
      *(program.evaluate.trace(config, state, dict(data)) for data in training.evaluate.values()),
    ]
    return [call.lower(lowering_platforms=(PLATFORMS[platform],)).as_text() for call in calls]


def check(monkeypatch, name, platform):
  lower = functools.partial(lowered, monkeypatch, name, platform)
  if name in ON_THE_HOST:
    with pytest.raises(UserError, match="the step calls Python"):
      lower()
  else:
    assert all("stablehlo" in text for text in lower())


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", IN_SHORT)
def test_it_is_lowered_for(monkeypatch, name, platform):
  check(monkeypatch, name, platform)


@pytest.mark.slow
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", [name for name in NAMES if name not in IN_SHORT])
def test_each_of_the_others_is_lowered_for(monkeypatch, name, platform):
  check(monkeypatch, name, platform)


def test_a_step_that_calls_python_is_refused_before_it_runs_on_a_tpu(monkeypatch):
  pytest.importorskip("gymnasium", reason="the extra for reinforcement learning is missing")
  experiment, config, _ = single_fits.small(monkeypatch, "dqn_gymnasium")
  training = experiment.training(config, 0)
  work = functools.partial(step_work, training.learner, training.sampler, on_device(config), {})
  work()  # on a CPU it is none
  monkeypatch.setattr("research.compile.target_platform", lambda: "tpu")
  with pytest.raises(
    UserError, match="never tried on a TPU; run it on a GPU or with JAX_PLATFORMS"
  ):
    work()
