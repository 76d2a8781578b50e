"""Exponentially weighted averages, and what correcting their start does (O05).

Ng, course 2 week 2: v_t = beta v_(t-1) + (1 - beta) theta_t averages over about 1 / (1 - beta) days
of London's temperature; with beta 0.5, 0.9 and 0.98. It starts at 0, so the first averages are far
too low; v_t / (1 - beta^t) is not. The temperatures here are generated, in Fahrenheit as in
the lecture: a year's wave of 14 degrees about 52, and daily noise of 5 degrees.

    python launch.py --experiment=averages

Expected: the corrected first value is the first day's; the average over ten days is nearest to the
season; lags of about 2, 10 and 50 days; a few seconds.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import research as ln

DAYS = 365
EARLY = 20  # days in which the start still shows
BETAS = (0.5, 0.9, 0.98)


@ln.pytree_config
class Config:
  """The weather."""

  years: int = ln.static(50, "years over which errors are averaged", at_least=1)
  mean: float = ln.traced(52.0, "yearly mean in degrees")
  wave: float = ln.traced(14.0, "height of the yearly wave in degrees", at_least=0)
  noise: float = ln.traced(5.0, "standard deviation of the daily noise in degrees", at_least=0)


def average(theta: Float[Array, " days"], beta: float) -> Float[Array, " days"]:
  """v_t = beta v_(t-1) + (1 - beta) theta_t, from v_0 = 0."""

  def day(v: Array, theta_t: Array) -> tuple[Array, Array]:
    v = beta * v + (1 - beta) * theta_t
    return v, v

  return jax.lax.scan(day, jnp.zeros((), theta.dtype), theta)[1]


def corrected(v: Float[Array, " days"], beta: float) -> Float[Array, " days"]:
  """v_t / (1 - beta^t): the weights of the days so far add up to one."""
  t = jnp.arange(1, len(v) + 1, dtype=v.dtype)
  return v / (1 - beta**t)


def season(config: Config) -> np.ndarray:
  """Temperature without noise, coldest on 20 January."""
  return config.mean - config.wave * np.cos(2 * np.pi * (np.arange(DAYS) - 19) / DAYS)


def lag(beta: float) -> float:
  """Days by which the average is behind a steady rise of a degree a day, once its start is over."""
  rise = jnp.arange(3000.0)
  return float(rise[-1] - average(rise, beta)[-1])


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Many years of the same season, in float64."""
  with jax.enable_x64(True):
    true = season(config)
    noise = np.random.default_rng(lab.seed).normal(0, config.noise, (config.years, DAYS))
    theta = jnp.asarray(true + noise)
    raw = {beta: jax.vmap(lambda year, b=beta: average(year, b))(theta) for beta in BETAS}
    right = {beta: jax.vmap(lambda v, b=beta: corrected(v, b))(raw[beta]) for beta in BETAS}
    rmse = lambda v, days: float(np.sqrt(np.mean(np.square(np.asarray(v) - true)[:, days])))
    early = {b: [rmse(v[b], slice(0, EARLY)) for v in (raw, right)] for b in BETAS}
    late = {b: rmse(right[b], slice(EARLY, None)) for b in BETAS}
    first = max(float(jnp.max(jnp.abs(right[b][:, 0] - theta[:, 0]))) for b in BETAS)
    lags = {b: lag(b) for b in BETAS}
  what = "corrected average of the first day less the first day's temperature, all betas"
  claim, against = ln.claims("O05"), "error against the season: beta"
  rmse_ratio, gain = f"error of the first {EARLY} days, uncorrected / corrected", ln.at_least(1.2)
  behind, better = "days behind a steady rise", "corrected is better"
  age = {b: round(b / (1 - b)) for b in BETAS}  # today has age 0
  return ln.Report(
    [
      claim(what, "equal", first, ln.at_most(1e-12)),
      *(
        claim(f"beta {b}: {behind}", f"beta / (1 - beta) = {age[b]}", days, ln.within(age[b], 1e-6))
        for b, days in lags.items()
      ),
      *(
        claim(f"beta {b}: {rmse_ratio}", better, before / after, gain)
        for b, (before, after) in early.items()
      ),
      *(
        claim(f"{against} {b} / beta 0.9", f"{why} (Ng)", late[b] / late[0.9], gain)
        for b, why in ((0.5, "too noisy"), (0.98, "too late"))
      ),
    ],
    [
      temperatures(
        theta[0],
        {f"beta = {b}, about {1 / (1 - b):.0f} days": v[0] for b, v in right.items()},
        title="Averages of a year's temperatures, bias corrected",
        caption="The first of the years. A dot is a day, a line an average.",
        file="year",
      ),
      temperatures(
        theta[0, :90],
        {"as it is": raw[0.98][0, :90], "corrected": right[0.98][0, :90]},
        title="Bias correction, beta = 0.98",
        caption="The first quarter of the year. Uncorrected, the average begins at zero.",
        file="start",
      ),
    ],
  )


def temperatures(
  theta: Array, averages: dict[str, Array], *, title: str, caption: str, file: str
) -> ln.Picture:
  """Daily temperatures as dots, and averages of them."""
  days = np.arange(1, len(theta) + 1)
  curves = {name: (days, values) for name, values in averages.items()}
  panel = ln.Panel("temperature (°F)", curves, points={"day": (days, theta)})
  return ln.function_curves(
    [panel], title=title, x="day", panel_inches=(7.6, 4.0), caption=caption, file=file
  )


experiment = ln.Experiment(Config, run)
