"""Learning-rate decay: five schedules, and why a constant rate never settles (O06).

Ng, course 2 week 2: alpha0 / (1 + decay epoch), which is 0.1, 0.067, 0.05, 0.04 after 1 to 4 epochs
for alpha0 0.2 and decay 1; 0.95^epoch alpha0; k / sqrt(t); a staircase; and rates set by hand. On a
quadratic w^2 / 2 whose gradient carries unit noise, a constant rate alpha hovers at a mean loss of
alpha / (2 (2 - alpha)) for ever.

    python launch.py --experiment=decay

Expected: Ng's rates; every decay ends below the constant rate; a few seconds.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import research as ln


@ln.pytree_config
class Config:
  """The noisy quadratic."""

  epochs: int = ln.static(100, "epochs", at_least=10)
  steps_per_epoch: int = ln.static(20, "updates in an epoch", at_least=1)
  runs: int = ln.static(2000, "runs whose mean is taken", at_least=1)
  rate: float = ln.traced(0.2, "the first learning rate", above=0, below=2)
  start: float = ln.traced(5.0, "the first w")


def by_hand(epoch: Array, changes: tuple[tuple[int, float], ...]) -> Array:
  """From each named epoch on, the factor that somebody chose while watching."""
  factors = jnp.array([1.0, *(factor for _, factor in changes)])
  return factors[jnp.searchsorted(jnp.array([at for at, _ in changes]), epoch, side="right")]


CHOSEN = ((10, 0.3), (30, 0.1), (60, 0.03))
# Factors of the rate, functions of the epoch, which counts from 0.
SCHEDULES: dict[str, Callable[[Array], Array]] = {
  "constant": jnp.ones_like,
  "1 / (1 + epoch)": lambda epoch: 1 / (1 + epoch),
  "0.95^epoch": lambda epoch: 0.95**epoch,
  "1 / sqrt(t)": lambda epoch: 1 / jnp.sqrt(epoch + 1),
  "staircase": lambda epoch: 0.5 ** jnp.floor(epoch / 10),
  "by hand": functools.partial(by_hand, changes=CHOSEN),
}
GOLDEN = (  # schedule, first rate, epoch, rate, and the half of its last digit
  ("1 / (1 + epoch)", 0.2, 1, 0.1, 5e-4),
  ("1 / (1 + epoch)", 0.2, 2, 0.067, 5e-4),
  ("1 / (1 + epoch)", 0.2, 3, 0.05, 5e-4),
  ("1 / (1 + epoch)", 0.2, 4, 0.04, 5e-4),
  ("0.95^epoch", 1, 10, 0.598737, 5e-7),
  ("1 / sqrt(t)", 1, 3, 0.5, 0),
  ("staircase", 1, 9, 1, 0),
  ("staircase", 1, 10, 0.5, 0),
  ("staircase", 1, 29, 0.25, 0),
  ("by hand", 1, 9, 1, 0),
  ("by hand", 1, 10, 0.3, 1e-7),
  ("by hand", 1, 60, 0.03, 1e-7),
)


def mean_losses(
  schedule: Callable[[Array], Array], config: Config, key: Array
) -> Float[Array, " epochs"]:
  """Loss at the end of every epoch, the mean over all runs; the noise is the same for all."""

  def step(w: Float[Array, " runs"], t: Array) -> tuple[Array, Array]:
    noise = jax.random.normal(jax.random.fold_in(key, t), w.shape)
    epoch = (t // config.steps_per_epoch).astype(float)
    w = w - config.rate * schedule(epoch) * (w + noise)
    return w, jnp.mean(jnp.square(w)) / 2

  times = jnp.arange(config.epochs * config.steps_per_epoch)
  _, losses = jax.lax.scan(step, jnp.full(config.runs, config.start), times)
  return losses[config.steps_per_epoch - 1 :: config.steps_per_epoch]


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Golden values of the schedules, then the noisy quadratic under each."""
  key = lab.key("noise")
  losses = {
    name: np.asarray(jax.jit(functools.partial(mean_losses, schedule))(config, key))
    for name, schedule in SCHEDULES.items()
  }
  tail = {name: float(np.mean(values[-10:])) for name, values in losses.items()}
  hovering, constant = config.rate / (2 * (2 - config.rate)), tail["constant"]
  claim, last = ln.claims("O06"), "mean loss of the last ten epochs"
  rate_of = lambda name, first, epoch: first * float(SCHEDULES[name](jnp.float32(epoch)))
  theory, near = f"alpha / (2 (2 - alpha)) = {hovering:.5f}", ln.within_ratio(hovering, 0.05)
  half, share = ln.at_most(0.5), f"{last} / that of the constant rate"
  return ln.Report(
    [
      *(
        claim(
          f"{name} from {first:g}: rate at epoch {epoch}",
          f"{rate:g}",
          rate_of(name, first, epoch),
          ln.within(rate, off),
        )
        for name, first, epoch, rate, off in GOLDEN
      ),
      claim(f"constant rate: {last}", theory, constant, near),
      *(
        claim(f"{name}: {share}", "smaller", tail[name] / constant, half)
        for name in list(SCHEDULES)[1:]
      ),
    ],
    [picture(config, losses)],
  )


def picture(config: Config, losses: dict[str, np.ndarray]) -> ln.Picture:
  """The rates, and the loss under each."""
  epochs = np.arange(config.epochs)
  at = jnp.asarray(epochs, jnp.float32)
  rates = {name: (epochs, config.rate * schedule(at)) for name, schedule in SCHEDULES.items()}
  after = {name: (epochs + 1, values) for name, values in losses.items()}
  return ln.function_curves(
    [ln.Panel("learning rate", rates, log="y"), ln.Panel("mean loss", after, log="y")],
    title="Learning-rate decay on a noisy quadratic",
    x="epoch",
    caption=f"Left: the schedules. Right: the mean loss of {config.runs:,} runs under each.",
    file="decay",
  )


experiment = ln.Experiment(Config, run)
