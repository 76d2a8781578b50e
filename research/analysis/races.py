"""Comparisons of nets by their loss while they learn, beside a source's numbers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from research.figures.curves import compare_curves
from research.report import Claim, ClaimMaker, Picture, within, within_ratio
from research.training import Fit, mean_of_last

Race = Mapping[str, Sequence[Fit]]  # by a member's name, its fit at every seed
LAST = 200  # batches whose losses are averaged at the end


class Published(NamedTuple):
  """A source's numbers for one member.

  Attributes:
    loss: at the end.
    accuracy: on the test set, as a fraction, where the source has it.
    words: the loss as the source gives it, where that is more than the number.
  """

  loss: float
  accuracy: float | None = None
  words: str = ""


def losses_at_end(race: Race) -> dict[str, float]:
  """Means over seeds and the last 200 batches of the losses that follow each batch's update."""
  return {name: mean_of_last(fits, "train/loss_after", LAST) for name, fits in race.items()}


def race_claims(
  claim: ClaimMaker,
  race: Race,
  source: Mapping[str, Published],
  *,
  loss_slack: float,
  accuracy_slack: float,
) -> list[Claim]:
  """Claims of the losses at the end, within a share of the source's, then of the accuracies."""
  loss = losses_at_end(race)
  accuracies = {name: own.accuracy for name, own in source.items() if own.accuracy is not None}
  return [
    *(
      claim(
        f"{name}: mean loss of the last {LAST} batches",
        words or f"{due:g}",
        loss[name],
        within_ratio(due, loss_slack),
      )
      for name, (due, _, words) in source.items()
    ),
    *(
      claim(
        f"{name}: test accuracy",
        f"{100 * due:.4g} %",
        mean_of_last(race[name], "test/accuracy"),
        within(due, accuracy_slack),
        "%",
      )
      for name, due in accuracies.items()
    ),
  ]


def race_curves(race: Race, *, title: str, log: bool = False, caption: str = "") -> Picture:
  """The losses after each batch's update over the steps, by member."""
  fits = next(iter(race.values()))
  spread = (
    f"A point is the mean over {fits[0].training.log_every} batches; lines are means over "
    f"{len(fits)} seeds, bands reach one standard deviation to both sides."
  )
  return compare_curves(
    race,
    "train/loss_after",
    title=title,
    y="loss after the update (nats)",
    log=log,
    caption=f"{caption} {spread}".strip(),
    file="loss",
  )
