"""The one training loop: from a state at some step to the state at the last step.

The order of operations in the loop is fixed: call the compiled steps, read the metrics of the call
before, and at the edges of an interval write the row, evaluate, save, and answer a signal. A fresh
start and a resume are the same code.
"""

from typing import Any

from research.errors import InterruptedRun
from research.lab.compiled_training import CompiledTraining, length_of_call
from research.lab.recorder import Recorder, Start
from research.learner import State
from research.store.interruption import Interruption


def run_fit(
  compiled: CompiledTraining, start: Start, recorder: Recorder, interruption: Interruption
) -> State:
  """Trains from `start` to the last step, leaving rows and checkpoints; returns the last state.

  The last step is an earlier one where the training's patience ends before.

  Raises:
    DivergedError: when a loss is not finite and the recorder's options say to stop then.
    InterruptedRun: after a signal, once everything is saved.
  """
  training = compiled.training
  state, step = compiled.place(start.state), start.step
  recorder.begin(start, compiled.steps_per_call, compiled.data_on)
  in_flight: tuple[int, Any] | None = None
  try:
    if step == 0:
      recorder.write_rows(0, compiled.evaluate(state))
    is_last = False
    while step < training.steps and not is_last:
      count = length_of_call(training, compiled.steps_per_call, step)
      state, metrics = compiled.steps(count, state, step)
      step += count
      if in_flight:
        recorder.read(*in_flight, state)
      in_flight = (step, metrics)
      is_last = step == training.steps
      is_row_due = step % training.log_every == 0 or is_last
      stop = interruption.signal_number
      if not (is_row_due or stop or recorder.is_save_due(step)):
        continue
      recorder.read(*in_flight, state)
      in_flight = None
      if is_row_due:
        is_evaluated = step % training.evaluate_every == 0 or is_last
        recorder.write_rows(step, compiled.evaluate(state) if is_evaluated else {})
        is_last = is_last or (is_evaluated and recorder.is_out_of_patience())
      if is_last or stop or recorder.is_save_due(step):
        with interruption.saving():
          recorder.save(step, compiled.fetch(state), finished=is_last)
      if stop and not is_last:
        raise InterruptedRun(
          stop,
          f"interrupted and saved at step {step} of fit {recorder.name!r}; give the same command "
          "to resume",
        )
  finally:
    with interruption.saving():
      recorder.close()
  return compiled.fetch(state)
