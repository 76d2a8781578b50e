"""SimpleNet 784-128-10 on MNIST, with softmax twice and once (D02).

A common mistake is to train a net that ends in a softmax with PyTorch's cross-entropy, which
applies a softmax itself. Two softmaxes leave the loss between 1.46 and 2.46 nats and its gradient
weak: 75.3 % after five epochs; without the first one the same code reaches 92.4 %. Pixels are
normalised with mean and deviation 0.5, batches of 64, SGD with rate 0.01, PyTorch's first weights,
uniform within 1 / sqrt(fan-in). The first number is a matter of the seed: PyTorch itself gave 83.4,
83.6, 67.1 and 81.5 % for seeds 0 to 3, as late digits are found or not, and three seeds here 75.6,
83.5 and 81.0 %. So 75.3 to 1.5 points fails: it is one draw.

    python launch.py --experiment=softmax_regression

Expected: 92.4 % mended to 1.5 points, and many points less as written; 20 seconds on two CPU cores.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import research as ln


@ln.pytree_config
class Config:
  """The settings of the net with the mistake."""

  hidden: int = ln.static(128, "hidden units", at_least=1)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(name="sgd", learning_rate=0.01))
  batch_size: int = ln.static(64, "examples per step", at_least=1)
  epochs: int = ln.static(5, "passes over the training set", at_least=1)
  repeats: int = ln.static(3, "seeds of each net", at_least=1)


class SimpleNet(nn.Module):
  """Dense, ReLU, dense, on pixels from -1 to 1; its initial weights and biases are PyTorch's."""

  hidden: int

  @nn.compact
  def __call__(
    self, x: Float[Array, " batch *pixels"], train: bool = False
  ) -> Float[Array, "batch class"]:
    """The logits; `train` changes nothing here."""
    del train
    x = (x.reshape(x.shape[0], -1) - 0.5) / 0.5
    x = nn.relu(self.dense(self.hidden, x.shape[-1])(x))
    return self.dense(10, self.hidden)(x)

  def dense(self, width: int, fan_in: int) -> nn.Dense:
    """Uniform within 1 / sqrt(fan-in), the biases too."""
    init = ln.initializer("uniform", 1 / math.sqrt(fan_in))
    return nn.Dense(width, kernel_init=init, bias_init=init)


def softmax_twice(logits: Float[Array, "batch class"], batch: ln.Batch) -> Float[Array, " batch"]:
  """As written: probabilities where logits are expected."""
  return ln.softmax_cross_entropy(jax.nn.softmax(logits), batch)


TRAININGS = {
  name: ln.supervised_training(lambda config: SimpleNet(config.hidden), loss=loss)
  for name, loss in {"as written": softmax_twice, "mended": ln.softmax_cross_entropy}.items()
}


def least_loss() -> float:
  """Returns the least loss that softmax applied twice can reach."""
  certain = jnp.array([[1e9] + [0.0] * 9])
  return float(softmax_twice(certain, {"label": jnp.array([0])})[0])


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Both losses, from equal settings; means over the seeds."""
  fits = {
    name: lab.compare(name, {name: config}, training, repeats=config.repeats)[name]
    for name, training in TRAININGS.items()
  }
  twice, once = (ln.mean_of_last(fits[name], "test/accuracy") for name in TRAININGS)
  least = least_loss()
  excess = ln.mean_of_last(fits["as written"], "test/loss") / least
  parameters = fits["mended"][0].parameters
  claim = ln.claims("D02")
  written = "softmax twice, as written: test accuracy"
  costs = "points of test accuracy that the second softmax costs"
  certain = "softmax twice: loss of a certain, right answer, in nats"
  over = "softmax twice: loss at the end over that least loss"
  return ln.Report(
    [
      claim(written, "75.3 %", twice, ln.within(0.753, 0.015), "%"),
      claim("mended: test accuracy", "92.4 %", once, ln.within(0.924, 0.015), "%"),
      claim(costs, "17", once - twice, ln.at_least(0.05), "points"),
      claim(certain, "log(1 + 9/e) = 1.46", least, ln.within(1.46115, 1e-5)),
      claim(over, "barely learns: above 1", excess, ln.at_most(1.3)),
      claim("parameters", "101,770", parameters, ln.equals(101_770)),
    ],
    [
      ln.compare_curves(
        fits,
        "test/accuracy",
        title="Softmax twice, and once",
        y="test accuracy (%)",
        epochs=True,
        caption="The same net with a softmax before the loss that has one itself, and without it.",
        file="accuracy",
      )
    ],
  )


experiment = ln.Experiment(Config, run, TRAININGS["mended"], takes=("lanes",))
