"""The checks and values with which every sweep begins."""

from pathlib import Path
from typing import NamedTuple

from research.sweep import plan as planning
from research.sweep.plan import Plan, Settings
from research.sweep.search import check_packages
from research.sweep.slots import intervals_of, metrics_of, slots_of_this_device
from research.sweep.space import Space
from research.sweep.study import Study
from research.sweep.trainings import Trainings
from research.sweep.workers import OfRepeat
from research.training import Training


class Prepared(NamedTuple):
  """A sweep that can begin.

  Attributes:
    plan: its counts made definite.
    trainings: of its trials.
    study: open.
    notes: lines for the user, before anything is trained.
  """

  plan: Plan
  trainings: Trainings
  study: Study
  notes: list[str]


def prepare(
  space: Space,
  settings: Settings,
  seed: int,
  of_repeat: OfRepeat,
  first: Training,
  path: Path,
) -> Prepared:
  """Plans a sweep and opens its study.

  Args:
    space: what is searched.
    settings: how.
    seed: of the search.
    of_repeat: the training of a config and a repetition.
    first: that of the space's own config.
    path: of the study's file.

  Raises:
    UserError: for settings that make no sense, or where the study in the file is another one.
  """
  planning.check_objective(settings.objective, metrics_of(first, space.config))
  check_packages(settings.sampler)
  settings = settings._replace(slots=settings.slots or slots_of_this_device())
  plan = planning.make(space, settings, seed, intervals_of(first))
  trainings = Trainings(of_repeat, space)
  trainings.check(settings.stopper)
  notes = planning.notes(plan, settings)
  may_grow = planning.may_grow(settings.sampler, settings.stopper, settings.rounds)
  study = Study(path, planning.stored(plan), may_grow=may_grow)
  plan = plan._replace(settings=plan.settings._replace(slots=study.slots))
  return Prepared(plan, trainings, study, notes)
