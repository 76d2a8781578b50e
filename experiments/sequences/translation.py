"""English into French: GRU, GRU with attention, Transformer, and two that learn little (S07-S13).

The models of Cho et al. 2014, Bahdanau et al. 2015 and Vaswani et al. 2017 (norms before the
sublayers) on some 9,400 sentence pairs of 2 to 16 words, taken from the translation catalogues of
seven open-source packages (`research/data/text/catalogs.py`), or on pairs of one's own. Beside them
stand the source as it is, and its words replaced one by one with the dictionary of Brown et al.'s
model 1. A tenth of the pairs is for the test; none of its sources is in training. BLEU is
Papineni's over the whole test, to 4-grams, on lower-case words; decoding is greedy and with a beam
of four. Tokens are words, or byte pairs (`--tokens=pieces`). It is software's language, of which
much recurs, so these numbers compare with each other and with nothing else.

The Transformer has the paper's label smoothing (section 5.4), which adds 0.9 and 0.3 points to its
BLEU on the validation part (seeds 0 and 1). Its rate falls along a cosine like the others': the
paper's schedule (section 5.3, 400 updates of warm-up) comes to 45.8 % there, the cosine to 45.7 %.

    python launch.py --experiment=translation --pairs=FILE

Expected, over three seeds: word by word 16.7 % BLEU, the source as it is 5.3 +- 1.0 %. With a beam
(greedily in brackets): GRU 28.7 +- 2.4 % (26.7 %), GRU with attention 43.6 +- 1.2 % (41.5 %),
Transformer 42.5 +- 1.1 % (39.9 %). Half an hour of one CPU core that others use too.
"""

import functools

import flax.linen as nn
import numpy as np

import research as ln
from research.analysis.alignment import decoder_maps
from research.analysis.bleu import corpus_bleu, mean_d2l_bleu
from research.buckets import bucketed
from research.data.text import corpora
from research.data.text.corpora import Corpus
from research.data.text.sentences import Words
from research.figures.texts import text_columns
from research.learner import variables_of
from research.models import word_by_word
from research.models.decoding import written
from research.models.encoder_decoder import encoder_decoder

NETS = {"GRU": "S07", "GRU with attention": "S11", "Transformer": "S13"}
OURS = "GRU with attention, beam"


@ln.pytree_config
class Config:
  """Sentences, one of the nets, its training."""

  net: str = ln.static(
    "GRU with attention", "set by the run, one after the other", choices=tuple(NETS)
  )
  pairs: str = ln.static(
    "", "UTF-8 file, a text, a tab and its translation a line; or the packages'"
  )
  longest: int = ln.static(16, "words of the longest sentences", at_least=2)
  tokens: str = ln.static("words", "what is read and written", choices=("words", "pieces"))
  vocabulary: int = ln.static(2400, "different tokens on either side, marks included", at_least=8)
  embedding: int = ln.static(96, "features of a token in the recurrent nets", at_least=1)
  hidden: int = ln.static(192, "units of the recurrent nets", at_least=1)
  features: int = ln.static(128, "features of the Transformer, a multiple of 8", at_least=8)
  dropout: float = ln.traced(0.2, "rate in the Transformer", at_least=0, below=1)
  clip: float = ln.traced(1.0, "longest gradient", above=0)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 2e-3, schedule="cosine"))
  batch_size: int = ln.static(64, "sentences per step", at_least=1)
  beam: int = ln.static(4, "beginnings that are kept while decoding", at_least=1)
  steps: int = ln.static(2000, "updates of each net; fifteen passes over the packages'", at_least=1)


PLACES = 64  # for which the Transformer has positions; the most tokens of a sentence
# Half of a batch would be padding without them: the sentences have five or six words on average.
BUCKETS = ({"source": 4, "target": 8}, {"source": 8, "target": 13})
SMOOTHING = {"Transformer": 0.1}  # of the labels (section 5.4)


def model(config: Config) -> nn.Module:
  """A GRU layer, read both ways by the encoder; or two layers of four heads, norms first."""
  return encoder_decoder(config, (config.vocabulary, config.vocabulary), PLACES)


def corpus_of(config: Config, seed: int) -> Corpus:
  """The pairs, divided, cut into tokens and numbered."""
  pairs = corpora.pairs(config.pairs, config.longest)
  return corpora.corpus(pairs, config.tokens, config.vocabulary, PLACES, seed)


def task(config: Config, seed: int) -> ln.Task:
  """The training part of the pairs, and the validation part."""
  arrays = corpus_of(config, seed).arrays
  return ln.Task(arrays["train"], {"validation": arrays["validation"]})


TRAININGS = {
  net: ln.pair_training(
    model,
    task,
    loss=functools.partial(ln.token_cross_entropy, smoothing=SMOOTHING.get(net)),
    metrics={"nats": ln.token_cross_entropy, "accuracy": ln.token_accuracy},
    transform=lambda learner: bucketed(learner, BUCKETS),
    sampler=ln.sampling.in_blocks,
    evaluations=8,
  )
  for net in NETS
}


def training(config: Config, seed: int) -> ln.Training:
  """The config's net on the pairs."""
  return TRAININGS[config.net](config, seed)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Each net on the same pairs, then what everyone writes for the test's sources."""
  corpus = corpus_of(config, lab.seed)
  for name, content in corpus.files.items():
    lab.keep(name, content)
  fits = ln.fit_each(lab, {net: ln.replace(config, {"net": net}) for net in NETS}, training)
  texts = translations(config, corpus, fits)
  references = [pair.target for pair in corpus.parts.test]
  bleu = {name: corpus_bleu(found, list(zip(references))) for name, found in texts.items()}
  bars = ln.bar_charts(
    {"BLEU (%)": {name: 100 * score for name, score in bleu.items()}},
    title="English into French: BLEU on the test",
    x="",
    number=".1f",
    lying=True,
    caption="A net has two bars: decoded greedily, and with a beam.",
    file="bleu",
  )
  curves = ln.compare_curves(
    fits,
    "validation/nats",
    title="English into French",
    y="negative log-likelihood (nats per token)",
    caption="On the validation part, without label smoothing.",
    file="validation",
  )
  named = {"English": texts["as it is"], "its translators": references}
  columns = named | {"dictionary": texts["dictionary"], "GRU with attention": texts[OURS]}
  examples = text_columns(
    {name: [" ".join(words) for words in found[:10]] for name, found in columns.items()},
    title="The first of the test",
    width=34,
    caption="What is written for the same sources; a word that training does not hold is <unk>.",
    file="examples",
  )
  maps = drawn(fits["GRU with attention"], corpus)
  return ln.Report(claims(bleu, texts, references), [bars, curves, examples, maps])


def translations(config: Config, corpus: Corpus, fits: dict[str, ln.Fit]) -> dict[str, list[Words]]:
  """The translations of the test's sources, by the name of who writes them."""
  asked, arrays = [pair.source for pair in corpus.parts.test], corpus.arrays["test"]
  dictionary, length = word_by_word.learn(corpus.parts.train), arrays["target"].shape[1]
  by_dictionary = [word_by_word.translate(dictionary, source) for source in asked]
  texts = {"as it is": asked, "dictionary": by_dictionary}
  for name, fit in fits.items():
    for decoding, width in (("greedy", 1), ("beam", config.beam)):
      rows = written(model(fit.config), variables_of(fit.state), arrays["source"], length, width)
      texts[f"{name}, {decoding}"] = [corpus.write.decode(row) for row in rows]
  return texts


def claims(
  bleu: dict[str, float], texts: dict[str, list[Words]], references: list[Words]
) -> list[ln.Claim]:
  """BLEU of everyone, beside that of the dictionary."""
  ours, theirs = (mean_d2l_bleu(texts[name], references) for name in (OURS, "dictionary"))
  words, gain = round(bleu["dictionary"], 4), bleu[OURS] - bleu["GRU, beam"]
  s08, s11 = ln.claims("S08"), ln.claims("S11", "%")
  source, what = "BLEU of the sources as they are", "BLEU (the bar is word by word)"
  d2l = f"{OURS}: mean of d2l's BLEU (k = 2) over the sentences"
  known = "1, 1, 0.658, 1 on four that were learnt (d2l)"
  return [
    s08(source, "below word by word", bleu["as it is"], ln.at_most(words), "%"),
    *(
      ln.claims(id, "%")(f"{name}: {what}", "above it (proposed)", bleu[name], ln.at_least(words))
      for net, id in NETS.items()
      for name in (f"{net}, greedy", f"{net}, beam")
    ),
    s11("what attention adds to the GRU's BLEU", "> 0", gain, ln.above(0), "points"),
    s08(d2l, known, ours, ln.at_least(round(theirs, 4))),
  ]


def drawn(fit: ln.Fit, corpus: Corpus) -> ln.Picture:
  """The decoder's attention while it is led through the translators' words of the four longest."""
  test = corpus.arrays["test"]
  long = np.argsort(-np.count_nonzero(test["source"], axis=1), kind="stable")[:4]
  pairs = {name: tokens[long] for name, tokens in test.items()}
  maps = decoder_maps(
    model(fit.config), fit.state.params, pairs, corpus.read.decode, corpus.write.decode
  )
  return ln.attention_maps(
    {f"sentence {number}": shown for number, shown in enumerate(maps, start=1)},
    caption="The decoder is led through the translators' words; each row shows where it looks "
    "before it writes that word.",
  )


experiment = ln.Experiment(Config, run, training)
