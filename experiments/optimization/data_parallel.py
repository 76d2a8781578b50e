"""Synchronous data parallelism: workers with a share of each batch make one worker's step (Y02).

d2l, section 13.5: every worker holds all weights and computes the gradient of its share of the
batch; the gradients are averaged over the workers, and all make the same update. The gradient of a
mean is the mean of the gradients, so that only rounding tells how many workers there were. Two
things break that. Where shares are unequal, each must count by its examples. Where batch
normalisation takes a worker's own statistics, it is another network; with sums over all workers it
is the same one. Here the workers are rows of one `vmap`, whose averages are those of the devices
under `--parallel=pmap`; the nets are 784-100-100-10 with their first weights. What larger batches
do to learning is `large_batches`.

    python launch.py --experiment=data_parallel

Expected: differences of 1e-7 to 1e-6 of the largest entry, or of a tenth and more where shares
count alike or normalise alone; seconds on a CPU.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import research as ln
from research.analysis.gradient_check import relative_difference
from research.layers.batch_axis import BATCH_AXIS

WORKERS = (2, 4, 8, 16)
EQUAL, UNEQUAL = 128, 100  # examples; 8 workers share the 100 as 13, ..., 13, 9
OWN = "workers"  # an axis that no layer sums over


@ln.pytree_config
class Config:
  """The net."""

  hidden: tuple[int, ...] = ln.static((100, 100), "units of the hidden layers", at_least=1)
  init: ln.Init = ln.nested(ln.Init("he_normal"))


def shared_out(batch: ln.Batch, workers: int) -> ln.Batch:
  """The batch as [worker, share, ...], the last shares filled up by examples of weight 0."""
  size = len(batch["label"])
  share = -(-size // workers)
  filled = lambda x: jnp.pad(x, [(0, workers * share - size), *[(0, 0)] * (x.ndim - 1)])
  batch = {**batch, "weight": jnp.ones(size)}
  return {name: filled(x).reshape(workers, share, *x.shape[1:]) for name, x in batch.items()}


def gradient(
  net: ln.MLP, variables: Mapping[str, Any], shares: ln.Batch, axis: str, *, alike: bool
) -> Any:
  """The workers' average gradient of the batch's mean loss.

  Shares count by their examples, or all `alike`. Sums over the workers' `axis` are those of the
  net's layers too where it is `BATCH_AXIS`.
  """
  statistics = {name: held for name, held in variables.items() if name != "params"}

  def of_worker(share: ln.Batch) -> Any:
    count = share["weight"].sum()

    def loss(params: Any) -> jax.Array:
      own = {"params": params, **statistics}
      logits, _ = net.apply(own, ln.inputs_of(share), train=True, mutable=list(statistics))
      return jnp.sum(share["weight"] * ln.softmax_cross_entropy(logits, share)) / count

    mine = jax.grad(loss)(variables["params"])
    part = 1 / jax.lax.psum(1, axis) if alike else count / jax.lax.psum(count, axis)
    return jax.tree.map(lambda leaf: jax.lax.psum(part * leaf, axis), mine)

  everywhere = jax.vmap(of_worker, axis_name=axis)(shares)
  return jax.tree.map(lambda leaf: leaf[0], everywhere)


def gradient_errors(config: Config, key: jax.Array) -> dict[str, list[float]]:
  """By rule and number of workers, how far the workers' gradient is from that of one."""
  few = {name: jnp.asarray(x[:EQUAL]) for name, x in ln.sets.load("mnist").train.items()}
  of = jax.jit(gradient, static_argnames=("net", "axis", "alike"))

  def errors(
    size: int, axis: str = BATCH_AXIS, *, batch_norm: bool = False, alike: bool = False
  ) -> list[float]:
    init = ln.kernel_init(config.init)
    net = ln.MLP((*config.hidden, 10), kernel_init=init, batch_norm=batch_norm)
    batch = {name: x[:size] for name, x in few.items()}
    variables = net.init(key, ln.inputs_of(batch))
    found = lambda count: of(net, variables, shared_out(batch, count), axis, alike=alike)
    return [relative_difference(found(1), found(count)) for count in WORKERS]

  return {
    "equal shares": errors(EQUAL),
    "unequal shares, each by its examples": errors(UNEQUAL),
    "unequal shares, all alike": errors(UNEQUAL, alike=True),
    "batch norm over all workers": errors(EQUAL, batch_norm=True),
    "batch norm of each worker": errors(EQUAL, OWN, batch_norm=True),
  }


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Gradients of shares against that of the whole batch."""
  return report(gradient_errors(config, lab.key("first weights")))


def report(errors: Mapping[str, Sequence[float]]) -> ln.Report:
  """Judges the largest error of each rule, and draws them all."""
  claim, exact, other = ln.claims("Y02"), ln.at_most(1e-6), ln.at_least(1e-2)
  bars = dict(zip(errors, (exact, exact, other, exact, other), strict=True))
  off = "gradient of 2 to 16 workers, largest difference over the largest entry: "
  drawn = ln.function_curves(
    [
      ln.Panel(
        "largest difference (relative)",
        {rule: (np.array(WORKERS), np.array(values)) for rule, values in errors.items()},
        log="y",
      )
    ],
    title="The workers' gradient against that of one",
    x="workers",
    caption="The largest difference over the largest entry of the gradient. A line is a rule by "
    "which the workers' gradients are averaged.",
    file="gradients",
  )
  return ln.Report(
    [
      claim(off + rule, "equal" if bar is exact else "not equal", max(errors[rule]), bar)
      for rule, bar in bars.items()
    ],
    [drawn],
  )


experiment = ln.Experiment(Config, run)
