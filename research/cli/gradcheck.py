"""`--gradcheck`: the gradient check of `research.analysis` on what an experiment trains first."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from research.analysis import gradient_check
from research.analysis.gradient_check import verdict, worst
from research.cli.first_fit import first_training
from research.errors import UserError
from research.lab.experiment import Experiment
from research.training import on_device

EXAMPLES = 5
COORDINATES = 20  # of each parameter array: deep nets of many arrays take a minute


def check_gradient(experiment: Experiment, config: Any, seed: int) -> bool:
  """Prints how far each parameter's gradient is from differences of the loss; False if one is
  wrong.

  The network is near its start, and sees the first few training examples. It is moved a little,
  for zero biases on black pixels put a ReLU exactly on its kink, where there is no gradient.

  Raises:
    UserError: where what is trained follows no gradient of a loss of its examples.
  """
  config, training = first_training(experiment, config, seed, "--gradcheck")
  if not training.data:
    raise UserError(
      "--gradcheck: this experiment learns from its own actions, and there are no examples to take "
      "the gradient of a loss at"
    )
  init_key, move_key = jax.random.split(jax.random.key(seed))
  state = jax.jit(training.learner.init)(on_device(config), init_key)
  if not hasattr(state, "params"):
    raise UserError(
      "--gradcheck: this experiment moves its weights by statistics of samples, or by two losses "
      "against each other, and there is no loss whose gradient that is"
    )
  if hasattr(state, "copies"):
    raise UserError(
      "--gradcheck: this experiment's gradients are of copies of the parameters that replicas "
      "hold, and no step is one of them alone"
    )
  start, as_params = ravel_pytree(state.params)
  moved = start + 0.01 * jax.random.normal(move_key, start.shape)
  state = state._replace(params=as_params(moved))
  batch = {name: jnp.asarray(array[:EXAMPLES]) for name, array in training.data.items()}
  differences = gradient_check.check_gradient(
    training.learner, config, state, batch, coordinates=COORDINATES, seed=seed
  )
  width = max(len(difference.name) for difference in differences)
  print(f"{'parameter':<{width}}  mean |a-b|  |a-b|/(|a|+|b|)")
  for name, mean_absolute, relative_norm in differences:
    print(
      f"{name:<{width}}  {mean_absolute:10.2e}  {relative_norm:15.2e}  {verdict(relative_norm)}"
    )
  found = worst(differences)
  print(f"worst: {found.name}, {found.relative_norm:.1e}: {verdict(found.relative_norm)}")
  return verdict(found.relative_norm) != "wrong"
