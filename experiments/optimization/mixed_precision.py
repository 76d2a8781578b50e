"""Training in 16 bits around weights of 32, with a loss that is scaled for float16 (Y05).

Micikevicius et al. 2018: forward and backward passes in float16, float32 weights that the optimizer
moves, and a loss multiplied by a scale before it is differentiated, since float16 knows nothing
below 6e-8 and gradients lie there. A SimpleConvNet learns MNIST in float32, in bfloat16, which
needs no scale, and in float16, whose scale adapts: too large a one shows as a gradient that is not
finite, the step is left out, and the scale halved. Any experiment that is trained by gradients
takes `--optimizer.precision`.

    python launch.py --experiment=mixed_precision
    python launch.py --experiment=mixed_precision --single_fit --optimizer.precision=float16
    python launch.py --experiment=simple_convnet --optimizer.precision=bfloat16

Expected: the same accuracy in all three; without its scale float16 would make a fiftieth of the
gradient's entries zero. A minute of one CPU core, which has to imitate the short formats: they save
time on GPUs and TPUs alone.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

import research as ln
from research.models.simple_convnet import SimpleConvNet
from research.precision import Precision, in_precision

FORMATS = ("float32", "bfloat16", "float16")
SCALES = 2.0 ** np.arange(33)
EXAMPLES = 100  # of the batch whose gradient is looked at


@ln.pytree_config
class Config:
  """One training; `run` compares the formats."""

  init: ln.Init = ln.nested(ln.Init("he_normal"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 1e-3, "linear"))
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  steps: int = ln.static(1200, "updates", at_least=1)


def model(config: Config) -> SimpleConvNet:
  """The book's, with He's initial weights."""
  return SimpleConvNet(kernel_init=ln.kernel_init(config.init))


training = ln.supervised_training(model, rows=100)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """One net in each format, from the same first weights."""
  configs = {name: ln.replace(config, {"optimizer.precision": name}) for name in FORMATS}
  fits = ln.fit_each(lab, configs, training)
  return report(config, fits)


def lost_and_infinite(config: Config, fit: ln.Fit) -> tuple[np.ndarray, np.ndarray]:
  """Shares of a float16 gradient's entries that are 0, and that are not finite, at every scale.

  Entries that are 0 in float32 do not count. The weights are the trained ones.
  """
  batch = {name: jnp.asarray(x[:EXAMPLES]) for name, x in fit.training.data.items()}

  def gradient(precision: Precision, scale: jax.Array) -> jax.Array:
    forward = in_precision(precision, lambda variables, x: model(config).apply(variables, x))

    def loss(params: Any) -> jax.Array:
      logits = forward({"params": params}, ln.inputs_of(batch))
      return scale * ln.softmax_cross_entropy(logits, batch).mean()

    return ravel_pytree(jax.grad(loss)(fit.state.params))[0]

  exact = np.asarray(gradient(Precision(), jnp.float32(1)))
  of = jax.jit(lambda scale: gradient(Precision("float16"), scale))
  found = np.stack([np.asarray(of(jnp.float32(scale)))[exact != 0] for scale in SCALES])
  return np.mean(found == 0, axis=1), np.mean(~np.isfinite(found), axis=1)


def report(config: Config, fits: Mapping[str, ln.Fit]) -> ln.Report:
  """Compares accuracies, and shows what scales do to a float16 gradient."""
  accuracy = {name: fit.last("test/accuracy") for name, fit in fits.items()}
  lost, infinite = lost_and_infinite(config, fits["float16"])
  used = np.argmin(np.abs(SCALES - fits["float16"].last("train/loss_scale")))
  losses = {
    name: (
      np.array([row["step"] for row in fit.history if "train/loss" in row]),
      np.array(fit.values("train/loss")),
    )
    for name, fit in fits.items()
  }
  drawn = ln.function_curves(
    [
      ln.Panel("training loss (nats)", losses, log="y", x="steps"),
      ln.Panel(
        "entries of the gradient (%)",
        {"0 in float16": (SCALES, 100 * lost), "not finite": (SCALES, 100 * infinite)},
        log="xy",
        x="scale of the loss",
      ),
    ],
    title="A convnet learns in 16 bits",
    caption=(
      "Left: the loss in three formats. Right: entries of the trained net's float16 gradient that "
      "are 0 although float32's are not, and those that are infinite or no number, by the scale of "
      f"the loss; none where a line is missing. The training used {SCALES[used]:,.0f} at its end."
    ),
    file="formats",
  )
  claim = ln.claims("Y05", unit="points")
  equal, bar = "0 (Micikevicius et al. 2018, table 1)", ln.at_most(0.003)
  away = {short: abs(accuracy[short] - accuracy["float32"]) for short in FORMATS[1:]}
  rescued = "gradient entries that float16 makes 0, at a scale of 1 less at the training's"
  return ln.Report(
    [
      *(
        claim(f"|{name} less float32|, test accuracy", equal, off, bar)
        for name, off in away.items()
      ),
      claim(rescued, "none", lost[0] - lost[used], ln.at_least(0.01)),
    ],
    [drawn],
  )


experiment = ln.Experiment(Config, run, training)
