"""A supervised task, and the training of a model on it."""

import functools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
import optax

from research import class_balance, micro_batches, optimizers
from research.batch import Batch, inputs_of, pair_inputs
from research.data import sampling, sets
from research.data.sampling import Sampler
from research.data.stratify import shuffled_split
from research.errors import UserError
from research.learner import Config, Learner, PerExample, ReadsConfig, field_of, supervised
from research.losses import pixel_cross_entropy, softmax_cross_entropy, token_cross_entropy
from research.metrics import accuracy, exact_match, pixel_accuracy, token_accuracy
from research.training import HostData, Training, on_device
from research.truncated_bptt import truncated_bptt
from research.weight_average import averaged


class Task(NamedTuple):
  """Data to learn from and to be evaluated on.

  Attributes:
    train: arrays by name, the examples along the first axis.
    evaluate: held-out sets by name.
    best: metric by which the best checkpoint is kept, such as "validation/accuracy".
    class_names: by label, for figures; () where the labels are as good.
  """

  train: HostData
  evaluate: Mapping[str, HostData]
  best: str | None = None
  class_names: Sequence[str] = ()


def images(config: Config, seed: int) -> Task:
  """The training and test images of `config.dataset`.

  A config without that field gets MNIST. The first `config.examples` training images are learned
  from, or all of them where the config has no such field. A set that has validation images of its
  own ranks checkpoints by them.
  """
  dataset = getattr(config, "dataset", "mnist")
  splits = sets.load(dataset)
  few = getattr(config, "examples", None)
  train = {name: array[:few] for name, array in splits.train.items()} if few else splits.train
  task = Task(train, {"test": splits.test}, class_names=sets.spec(dataset).class_names)
  if not any(map(len, splits.validation.values())):
    return task
  held_out = {"validation": splits.validation, "test": splits.test}
  return task._replace(evaluate=held_out, best="validation/accuracy")


def shuffled_images(config: Config, seed: int) -> Task:
  """The first images of MNIST, shuffled by the seed and then split (Saito 2016, section 6.5).

  Reads how many are learned from, `config.examples`, and how many are validated on,
  `config.held_out`.
  """
  mnist = sets.load("mnist").train
  few, held_out = shuffled_split(mnist, config.examples, config.held_out, seed)
  return Task(few, {"validation": held_out}, "validation/accuracy")


def with_train_set(task: Callable[[Config, int], Task]) -> Callable[[Config, int], Task]:
  """Gives the task whose training data are evaluated too, first and as "train set"."""

  def with_own(config: Config, seed: int) -> Task:
    made = task(config, seed)
    return made._replace(evaluate={"train set": made.train, **made.evaluate})

  return with_own


def supervised_training(
  model: Callable[[Config], nn.Module],
  task: Callable[[Config, int], Task] = images,
  *,
  loss: PerExample | ReadsConfig = softmax_cross_entropy,
  metrics: Mapping[str, PerExample | ReadsConfig] | None = None,
  inputs: Callable[[Batch], Any] = inputs_of,
  optimizer: Callable[[Config, int], optax.GradientTransformation] | None = None,
  transform: Callable[[Learner], Learner] = lambda learner: learner,
  sampler: Callable[[int], Sampler] = sampling.by_epoch,
  epochs_per_evaluation: int = 1,
  evaluations: int = 1,
  rows: int = 0,
  evaluation_batch_size: int = 1000,
) -> Callable[[Config, int], Training]:
  """Makes the `training(config, seed)` of a supervised experiment.

  These fields of the config are read by their names:

    batch_size: examples per step.
    epochs, or steps: how long to train. With epochs the evaluation sets are looked at after every
      epoch, and a row of the log is an epoch; with steps, after the last one or `evaluations`
      times on the way, with a row each.
    evaluate_every: steps between evaluations, with a row each, where the config has steps and this
      field.
    clip: the longest gradient, where the config has this field.
    log_every: steps per row of the log, where the config has this field.
    optimizer: the optimizer and its schedule, as `research.optimizers.Optimizer`.

  Args:
    model: gives the Linen module, called as `module(inputs, train=...)`.
    task: gives the data of a config and a seed; by default `images`.
    loss: of (outputs, batch), one value per example; a `ReadsConfig` where it reads settings.
    metrics: further values per example, given likewise; by default the accuracy.
    inputs: the model's inputs from the batch; by default its images.
    optimizer: gives the optax optimizer for a config and a number of steps, where it is not
      `research.optimizers.optimizer_of`.
    transform: changes the learner, as `research.learner_transforms.augmented` does.
    sampler: the rule by which batches are drawn, given their size.
    epochs_per_evaluation: epochs between evaluations, where the config has epochs; 0 leaves them
      to the end.
    evaluations: how often the evaluation sets are looked at, where the config has steps.
    rows: of the log in all, where it is to have more of them.
    evaluation_batch_size: examples per evaluation batch; it bounds the memory.
  """
  made = optimizer or optimizers.optimizer_of
  readers = (loss, *({"accuracy": accuracy} if metrics is None else metrics).values())
  reads_labels = any(field_of(reader) == "label" for reader in readers)

  # Equal trainings share one learner, and so one compiled program. A dictionary, unlike
  # functools.cache, goes in a pickle to workers elsewhere.
  learners: dict[Any, Learner] = {}

  def learner(example: tuple[Any, ...], structure: Any, examples: int) -> Learner:
    key = example, structure, examples
    if key not in learners:
      own = supervised(
        model,
        loss,
        lambda config: jax.tree.unflatten(structure, example),
        lambda config: made(config, _steps(config, examples)),
        metrics=metrics,
        inputs=inputs,
      )
      learners[key] = averaged(transform(own))
    return learners[key]

  def training(config: Config, seed: int) -> Training:
    own_optimizer = optimizers.optimizer_in(config)
    micro_batches.check(own_optimizer.micro_batches or 1, config.batch_size)
    made_task = task(config, seed)
    train, evaluate, best, class_names = _labelled(made_task) if reads_labels else made_task
    train = class_balance.weighted(train, own_optimizer.class_weights)
    draw = class_balance.drawn(train, own_optimizer.class_sampling) or sampler
    examples = len(next(iter(train.values())))
    leaves, structure = jax.tree.flatten(_example(inputs, train))
    epoch, steps = math.ceil(examples / config.batch_size), _steps(config, examples)
    by_epochs = hasattr(config, "epochs")
    made = learner(tuple(leaves), structure, examples)
    dataset = getattr(config, "dataset", "")
    if dataset and dataset not in sets.names():
      _check_takes(made, config, f"{dataset} with inputs of shape {list(leaves[0].shape)}")
    part = lambda count: max(steps // count, 1)
    often = epoch if by_epochs else getattr(config, "evaluate_every", part(evaluations))
    row = part(rows) if rows else often
    return Training(
      made,
      train,
      draw(config.batch_size),
      steps=steps,
      evaluate=evaluate,
      evaluate_every=epochs_per_evaluation * epoch or steps if by_epochs else often,
      log_every=getattr(config, "log_every", row),
      best=best,
      evaluation_batch_size=evaluation_batch_size,
      class_names=class_names,
    )

  return training


# That of an encoder and decoder: logits of each target's next token, from the source and the tokens
# before. A batch of sequences needs more memory than one of images.
pair_training = functools.partial(
  supervised_training,
  loss=token_cross_entropy,
  metrics={"exact": exact_match, "accuracy": token_accuracy},
  inputs=pair_inputs,
  evaluation_batch_size=250,
)

# That of a network whose logits are of every pixel's class.
pixel_training = functools.partial(
  supervised_training,
  loss=pixel_cross_entropy,
  metrics={"accuracy": pixel_accuracy},
  evaluation_batch_size=100,
)


def bptt_training(
  model: Callable[[Config], nn.Module],
  task: Callable[[Config, int], Task],
  *,
  transform: Callable[[Learner], Learner] = lambda learner: learner,
  evaluation_batch_size: int = 1000,
) -> Callable[[Config, int], Training]:
  """Makes the `training(config, seed)` of a language model by truncated back-propagation.

  The config's batch_size, steps, optimizer and clip are read as `supervised_training` does. The
  batches follow each other in order; a row of the log and an evaluation come with every pass.

  Args:
    model: gives the Linen module, called as `module(tokens, carries, train=...)`.
    task: gives the data of a config and a seed, as `research.data.text.language.partition` does.
    transform: changes the learner.
    evaluation_batch_size: examples per evaluation batch; it bounds the memory.
  """
  optimizer = lambda config: optimizers.optimizer_of(config, config.steps)
  learner = averaged(transform(truncated_bptt(model, optimizer, lambda config: config.batch_size)))

  def training(config: Config, seed: int) -> Training:
    micro_batches.check(optimizers.optimizer_in(config).micro_batches or 1, config.batch_size)
    train, evaluate, best, _ = task(config, seed)
    class_balance.refuse_without_classes(train, optimizers.optimizer_in(config))
    epoch = len(train["target"]) // config.batch_size
    return Training(
      learner,
      train,
      sampling.in_order(config.batch_size),
      steps=config.steps,
      evaluate=evaluate,
      evaluate_every=epoch,
      log_every=epoch,
      best=best,
      evaluation_batch_size=evaluation_batch_size,
    )

  return training


def _steps(config: Config, examples: int) -> int:
  if hasattr(config, "epochs"):
    return config.epochs * math.ceil(examples / config.batch_size)
  return config.steps


def _labelled(task: Task) -> Task:
  """The task without the examples whose label is -1, which says that nobody labelled them.

  Raises:
    UserError: where a set has no other.
  """
  kept = {name: _with_label(name, data) for name, data in task.evaluate.items()}
  return task._replace(train=_with_label("train", task.train), evaluate=kept)


def _with_label(name: str, data: HostData) -> HostData:
  labels = np.asarray(data.get("label", ()))
  is_missing = labels == -1
  if labels.ndim != 1 or not is_missing.any():
    return data
  if is_missing.all():
    raise UserError(f"no example of the {name} set has a label (all are -1); label some")
  count = f"{is_missing.sum():,} of {len(labels):,}"
  print(f"{name}: left out {count} examples without a label (-1)", file=sys.stderr, flush=True)
  return {field: np.asarray(array)[~is_missing] for field, array in data.items()}


def _check_takes(learner: Learner, config: Config, data: str) -> None:
  """Raises UserError where no network can be made for the user's own data; compiles nothing."""
  try:
    jax.eval_shape(learner.init, on_device(config), jax.random.key(0))
  except UserError:
    raise
  except Exception as error:  # of whichever layer fails first
    reason = str(error).split("\n", maxsplit=1)[0].rstrip(".")
    raise UserError(
      f"the network cannot be made for {data} ({reason}); give images of another size, such as "
      "folder:PATH@32x32, or another network"
    ) from error


def _example(inputs: Callable[[Batch], Any], train: HostData) -> Any:
  """Shapes and types of the model's inputs for one example."""
  batch = {
    name: jax.ShapeDtypeStruct((1, *array.shape[1:]), np.dtype(array.dtype))
    for name, array in train.items()
  }
  drop = lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype)
  return jax.tree.map(drop, jax.eval_shape(inputs, batch))
