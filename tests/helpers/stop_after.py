"""A signal that comes when the loop has looked for one a given number of times."""

import itertools

from research.store.interruption import Interruption


class StopAfter(Interruption):
  """Is interrupted when it was asked so many times."""

  def __init__(self, questions):
    super().__init__(())
    self._left = itertools.chain(itertools.repeat(None, questions), itertools.repeat(15))

  @property
  def signal_number(self):
    return next(self._left)

  @signal_number.setter
  def signal_number(self, value):
    pass
