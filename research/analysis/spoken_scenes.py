"""Sentences that a captioner writes for scenes, and figures of them."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, UInt8

from research.analysis.bleu import corpus_bleu
from research.batch import inputs_of
from research.data import captions
from research.data.captions import Captioned, Words
from research.figures.bars import grouped_bars
from research.figures.texts import images_with_texts
from research.learner import variables_of
from research.models.captioner import Captioner
from research.models.decoding import sampled, written
from research.report import Picture
from research.training import Fit

Images = UInt8[np.ndarray, "n height width channel"]
SHOWN = 4  # scenes, and as many mistakes


def say(model: Captioner, fit: Fit, images: Images, width: int = 1) -> list[Words]:
  """The likeliest sentence of each image that a beam of that width finds."""
  return _texts(written(model, variables_of(fit.state), _inputs(images), captions.LONGEST, width))


def invent(model: Captioner, fit: Fit, images: Images, key: Key[Array, ""]) -> list[Words]:
  """Sentences drawn from what the model holds likely, one for each image."""
  return _texts(sampled(model, variables_of(fit.state), _inputs(images), captions.LONGEST, key))


def _inputs(images: Images) -> np.ndarray:
  return np.asarray(inputs_of({"image": jnp.asarray(images)}))


def _texts(rows: np.ndarray) -> list[Words]:
  known = captions.words()
  return [known.decode(row) for row in rows]


def scenes_with_sentences(made: Captioned, said: Sequence[Words]) -> Picture:
  """The first scenes with what is said of them and a reference, then the first mistakes."""
  read = map(captions.parse, said)
  first = list(range(min(SHOWN, len(said))))
  wrong = [scene for scene, own in enumerate(read) if own != made.things[scene]]
  chosen = [*first, *(scene for scene in wrong if scene not in first)][: len(first) + SHOWN]
  both = lambda scene: f"{' '.join(said[scene])}\n({' '.join(made.references[scene][0])})"
  return images_with_texts(
    made.images[chosen],
    list(map(both, chosen)),
    title="Scenes, and what was said of them",
    caption="Beside each held-out scene the sentence that was written, and in brackets one of its "
    f"references: the first {SHOWN}, and the next {SHOWN} of which something wrong was said.",
    file="examples",
  )


def bleu_bars(made: Captioned, said: Mapping[str, Sequence[Words]]) -> Picture:
  """BLEU-1 to BLEU-4 of sentences from several sources."""
  orders = range(1, 5)
  bleu = lambda own: [100 * corpus_bleu(own, made.references, most) for most in orders]
  return grouped_bars(
    {name: bleu(own) for name, own in said.items()},
    [f"BLEU-{most}" for most in orders],
    title="Sentences for scenes",
    x="longest n-grams",
    y="BLEU (%)",
    caption="Over five references of each held-out scene. Sentences of another scene, and those of "
    "a language model that has seen no image, share little but the templates' words.",
    file="bleu",
  )
