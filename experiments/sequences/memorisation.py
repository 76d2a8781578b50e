"""A character model learns a text by heart, its carries handed on from batch to batch (S02-S04).

Dive into Deep Learning, section 9.5 and after: 35 characters through which gradients flow, strands
of text that continue from batch to batch, gradients cut at 1, and a perplexity that falls to 1: the
model knows the text. It is measured from carries handed on, on the training text itself. The text
is generated (dates in eleven ways, one after the other) or a file of one's own; characters for
which the vocabulary has no room cost what it takes to name them besides.

    python launch.py --experiment=memorisation --text=FILE

Expected, over three seeds: a perplexity of 1.005 ± 0.002 after 4,000 updates, the source's
500 passes, and 1.004 ± 0.003 by the vanilla net (--cell=rnn; d2l, section 9.5: 1.0, or 1.5 where
segments are drawn at random), 1.004 ± 0.002 by GRUs (--cell=gru; d2l: 1.0 to 1.1); 1 to 2 minutes
of one CPU core.
"""

import math
from hashlib import sha256

import research as ln
from research.data.text import language, tasks
from research.data.text.vocabulary import MARKS, Vocabulary, naming_nats, vocabulary
from research.models.language_model import LanguageModel

# Ids, and the perplexities that Dive into Deep Learning gives for its two forms of each cell.
SOURCES = {
  "rnn": ("S02", "1.0 and 1.5 (d2l)"),
  "gru": ("S03", "1.1 and 1.0 (d2l)"),
  "lstm": ("S04", "1.3 and 1.1 (d2l)"),
}


@ln.pytree_config
class Config:
  """The text and the net."""

  text: str = ln.static("", "a UTF-8 text file; nothing for generated dates")
  characters: int = ln.static(10_000, "how much of the text is learnt", at_least=2000)
  vocabulary: int = ln.static(96, "room for different characters, marks included", at_least=8)
  cell: str = ln.static("lstm", "the recurrent cell", choices=("rnn", "gru", "lstm"))
  hidden: int = ln.static(256, "units", at_least=1)
  layers: int = ln.static(1, "recurrent layers", at_least=1)
  times: int = ln.static(35, "characters through which gradients flow", at_least=1)
  clip: float = ln.traced(1.0, "longest gradient", above=0)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 5e-3, schedule="cosine"))
  batch_size: int = ln.static(32, "strands of text", at_least=1)
  steps: int = ln.static(4000, "updates; as many as the 500 passes of d2l", at_least=1)


def text_of(config: Config, seed: int) -> str:
  """The text that is learnt; UserError where the file cannot be read."""
  if not config.text:
    _, pairs = tasks.dates(config.characters // 8, seed)
    return "; ".join(source for source, _ in pairs)[: config.characters]
  return language.text_of_file(config.text)[: config.characters]


def characters_of(config: Config, text: str) -> Vocabulary:
  """Returns the characters of the text, the frequent first."""
  return vocabulary(text, most=config.vocabulary - len(MARKS))


def model(config: Config) -> LanguageModel:
  """The recurrent language model, its characters one-hot."""
  return LanguageModel(config.vocabulary, 0, config.hidden, config.layers, config.cell)


def task(config: Config, seed: int) -> ln.Task:
  """Strands of the text; UserError where it is too short for them."""
  text = text_of(config, seed)
  tokens = characters_of(config, text).encode(text)
  return ln.Task(language.partition(tokens, config.batch_size, config.times), {})


training = ln.bptt_training(model, task)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The fit, and the perplexity of its last epoch."""
  text = text_of(config, lab.seed)
  characters = characters_of(config, text)
  to_train = training(config, lab.seed)  # refuses a text that is too short, so before all else
  lab.keep("characters.json", characters.to_json())
  lab.keep("text.sha256", sha256(text.encode()).hexdigest() + "\n")
  fit = lab.fit("text", config, to_train)
  nats = fit.last("train/loss") + naming_nats(characters, text, text).mean()
  what = (
    f"{config.cell}, {config.hidden} units: perplexity of {len(text):,} characters learnt "
    "by heart, mean of the last epoch"
  )
  learning = ln.learning_curves(
    fit,
    title="A text learnt by heart",
    log_loss=True,
    caption="Loss per character, the mean of a pass over the text.",
    file="learning",
  )
  id, source = SOURCES[config.cell]
  return ln.Report([ln.claims(id)(what, source, math.exp(nats), ln.at_most(1.1))], [learning])


experiment = ln.Experiment(Config, run, training, verified=({}, {"cell": "rnn"}, {"cell": "gru"}))
