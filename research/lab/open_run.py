"""Runs as values, for `--evaluate` and for notebooks.

from research.lab.open_run import open_run
run = open_run("runs/digits_convnet/0123456789")
run.history, run.claims, run.best_state(), run.evaluate()
run.predict(images).labels, run.model({"image": images})
"""

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from research.batch import Batch
from research.config import from_json
from research.data import own
from research.errors import UserError
from research.lab import model_export, own_data, prediction, registry, run_diagnosis, run_folder
from research.lab.compiled_training import evaluation
from research.lab.experiment import Experiment
from research.lab.measured import measured, read_names
from research.lab.resume import no_such_step, warn
from research.lab.run_folder import read_identity
from research.lab.run_index import STUDY
from research.lab.run_results import is_finished, read_claims
from research.lab.validation import validated
from research.store.checkpoint import Checkpoints, Snapshot
from research.store.files import read_json
from research.store.host_state import from_host
from research.store.metrics_log import Row, read_rows
from research.sweep import space as spaces
from research.sweep.plan import winner
from research.training import Training, on_device


class Run:
  """A finished or unfinished run, read only.

  `identity`, `history` and `claims` are read from the run's files alone, so that they outlive the
  experiment's code; the rest needs the code, as it was when the run was made.
  """

  def __init__(self, folder: Path, entry: registry.Entry | None = None, at_step: int | None = None):
    """Reads the run's identity.

    Args:
      folder: of the run.
      entry: the experiment, where it is not the one that the run remembers.
      at_step: of the checkpoint that is opened; by default the best one.

    Raises:
      UserError: when there is no run in the folder.
    """
    self.folder = folder
    self.identity = read_identity(folder)
    self._entry = entry
    self._at_step = at_step

  @cached_property
  def experiment(self) -> Experiment:
    """The experiment that was run.

    Raises:
      UserError: where its code is gone.
    """
    entry = self._entry
    if entry is None:
      file = run_folder.file_of(self.folder)
      entry = registry.of_file(file) if file else registry.select(self.identity.experiment)[0]
    return registry.load(entry)

  @cached_property
  def _base(self) -> Any:
    fields = {n: v for n, v in self.identity.config.items() if not n.startswith("--")}  # of a sweep
    return from_json(self.experiment.Config(), fields)

  @property
  def config(self) -> Any:
    """The settings; of a sweep, those of its best trial so far, which the fit "train" repeats."""
    space = self.identity.config.get("--sweep")
    if not isinstance(space, str) or not (self.folder / STUDY).is_file():
      return self._base
    best = winner(self.folder / STUDY, spaces.parse(space, self._base))
    return self._base if best is None else best

  @property
  def history(self) -> list[Row]:
    """All rows of metrics so far."""
    return read_rows(self.folder)

  @property
  def claims(self) -> list[dict[str, Any]]:
    """The claims; empty before the run is finished."""
    return read_claims(self.folder) if is_finished(self.folder) else []

  @cached_property
  def training(self) -> Training:
    """The run's only fit, with its data.

    Raises:
      UserError: for an experiment of several stages.
    """
    training = self.experiment.training
    if training is None:
      raise UserError(
        f"{self.identity.experiment} has several fits; open its checkpoints by name"
        if self._fits()
        else f"{self.folder} holds no fit of {self.identity.experiment} that could be evaluated"
      )
    share = self.identity.config.get("--validation", 0.0)
    if not isinstance(share, float) or not 0 <= share < 1:
      raise UserError(f"{self.folder}: config.json is damaged (--validation is {share!r})")
    training = validated(training, share) if share else training
    names = read_names(str(self.identity.config.get("--metrics", "")))
    return measured(training(self.config, self.identity.seed), self.config, names)

  def _fits(self) -> list[str]:
    return sorted(path.name for path in (self.folder / "checkpoints").glob("*"))

  def snapshot(self, fit: str = "", *, best: bool = True) -> Snapshot:
    """The best or the latest checkpoint of a fit, which need not be named where there is one.

    It is that of the step with which the run was opened, where one was given.

    Raises:
      UserError: when there is none yet, or none of the step that was asked for; or several fits
        and no name.
    """
    fits = self._fits()
    if not fit:
      fit = fits[0] if len(fits) == 1 else "train"
      if fits and fit not in fits:
        raise UserError(f"{self.folder} has several fits; name one: {', '.join(fits)}")
    held, step = self.folder / "checkpoints" / fit, self._at_step
    found = Checkpoints.held(held, warn=warn, best=best, step=step)
    if found is None and step is not None:
      raise no_such_step(held, step)
    if found is None:
      raise UserError(
        f"{self.folder} has no checkpoint of fit {fit!r} (none yet, or freed by `clean`); run it "
        "for a while, or again with --fresh"
      )
    return found

  def best_state(self) -> Any:
    """The state in the best checkpoint (the latest where none is ranked), leaves on the host.

    Raises:
      UserError: where there is none; or where it is not one network of the experiment's config, as
        in a comparison.
    """
    init = self.training.learner.init
    template = jax.eval_shape(init, on_device(self.config), jax.random.key(0))
    snapshot = self.snapshot()
    try:
      return from_host(snapshot.arrays, template)
    except ValueError as error:
      raise UserError(
        f"{self.folder} holds no single network of {self.identity.experiment}'s config to "
        f"evaluate, but several side by side, or another one ({error}); `snapshot` has its arrays"
      ) from error

  @cached_property
  def inputs(self) -> prediction.Inputs:
    """The form in which the trained network takes its inputs.

    Raises:
      UserError: for a run of no classifier.
    """
    return prediction.inputs_of(self.training, self.identity.experiment)

  @cached_property
  def class_names(self) -> tuple[str, ...]:
    """The names of the classes by label; () where they have none but numbers."""
    return prediction.class_names_of(self.config)

  @cached_property
  def model(self) -> Callable[[Batch], Any]:
    """The network of the best checkpoint: a compiled function of a batch, {"image": [n, ...]}.

    Raises:
      UserError: for a run of no classifier, or without a checkpoint.
    """
    own_data.check(self.folder, self.identity)  # others would be scaled and numbered otherwise
    assert self.inputs
    return prediction.network(self.training, self.config, self.best_state())

  def predict(self, x: np.ndarray) -> prediction.Prediction:
    """Classifies inputs [n, ...], of the type and in the units of the run's data.

    Raises:
      UserError: for a run of no classifier, or inputs of another shape or type.
    """
    return prediction.predict(self.model, x, self.inputs, self.class_names)

  def export(self, folder: str | os.PathLike, form: str = "stablehlo") -> Path:
    """Writes the trained network, a model card and a check into a new folder.

    Args:
      folder: that is made.
      form: "stablehlo", for JAX on CPU, GPU and TPU without this project, or "safetensors".

    Raises:
      UserError: for a run of no classifier, a folder that is in use, or a check that fails.
    """
    model_export.check_request(Path(folder), form)
    own_data.check(self.folder, self.identity)
    state, inputs, outputs = self.best_state(), self.inputs, self.training.learner.outputs
    assert outputs is not None  # `inputs` refuses it
    config = on_device(self.config)
    network = lambda x: outputs(config, state, {prediction.INPUT: x})
    trained = model_export.Trained(self.identity.experiment, network, state, inputs, self._about())
    return model_export.export(Path(folder), form, trained)

  def diagnose(
    self,
    human_error: float | None = None,
    tags: str | os.PathLike | None = None,
    *,
    learning_curve: bool = False,
  ) -> run_diagnosis.RunDiagnosis:
    """Finds what to work on next: gaps between errors, tags, suspected labels, worse slices.

    Args:
      human_error: share that people get wrong, or the least that is possible, where it is known.
      tags: a CSV file with the tags of errors, or a column of the table that was learned from.
      learning_curve: whether to train the fit three times more, on parts of its data; what was
        trained is remembered under `diagnosis` in the run's folder.

    Raises:
      UserError: for a run of no classifier, without a checkpoint or a set to find errors on, a
        human error that is no share, or tags of other errors.
    """
    if human_error is not None and not 0 <= human_error < 1:
      raise UserError(
        f"human_error={human_error} is no share of wrong answers; give one such as 0.02"
      )
    assert self.inputs
    own_data.check(self.folder, self.identity)
    asked = run_diagnosis.Asked(
      self.identity.experiment,
      self.folder,
      self.identity.seed,
      self.config,
      self.training,
      self.best_state(),
      self.class_names,
      is_held_out=bool(self.identity.config.get("--validation", 0.0)),
      is_finished=is_finished(self.folder),
    )
    path = None if tags is None else os.fspath(tags)
    return run_diagnosis.diagnosed(asked, human_error, path, learning_curve)

  def _about(self) -> dict[str, str]:
    """The run's part of a model card."""
    made_by = read_json(self.folder / run_folder.ENVIRONMENT)
    made_by = made_by if isinstance(made_by, dict) else {}
    settings, dataset = self.identity.config, str(self.identity.config.get("dataset", ""))
    metrics = [
      f"- {split}: " + ", ".join(f"{name} {value:.5g}" for name, value in found.items())
      for split, found in self.evaluate().items()
    ]
    lines = {
      "data": settings.get("dataset", "those that the experiment names"),
      "digest of the data": settings.get("--data"),
      "seed": self.identity.seed,
      "step of the checkpoint": self.snapshot().step,
      "commit": made_by.get("commit") or "unknown",
      "digest of the code": made_by.get("code"),
      "command": f"`{made_by.get('command')}`",
    }
    return {
      "Origin": "\n".join(
        f"- {name}: {value}" for name, value in lines.items() if value is not None
      ),
      "Metrics of this checkpoint": "\n".join(metrics),
      "Classes": ", ".join(self.class_names) or "the labels' numbers",
      **({"Features": _features(dataset)} if own.is_table(dataset) else {}),
      "Settings": "\n".join(f"- {name}: {value}" for name, value in settings.items()),
    }

  def evaluate(self) -> dict[str, dict[str, float]]:
    """The best checkpoint's metrics on every held-out data set."""
    training = self.training
    found: dict[str, dict[str, float]] = {split: {} for split in training.evaluate}
    for name, value in evaluation(self.config, training, self.best_state()).items():
      split, metric = name.split("/")
      found[split][metric] = float(value)
    return found


def _features(dataset: str) -> str:
  """The layout by which a table's columns become the inputs."""
  return "\n".join(
    f"{number}. {name}, less {shift:.9g}, divided by {scale:.9g}"
    for number, (name, shift, scale) in enumerate(own.features_of(dataset), 1)
  )


def open_run(
  folder: str | os.PathLike,
  file: str | os.PathLike | None = None,
  at_step: int | None = None,
) -> Run:
  """Opens the run in a folder; see `Run`.

  Args:
    folder: of the run.
    file: of the experiment, where it is not of the catalogue and has moved since.
    at_step: of the checkpoint that is opened; by default the best one.
  """
  return Run(Path(folder), registry.of_file(Path(file)) if file else None, at_step)
