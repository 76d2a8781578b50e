"""Maps of a decoder's attention, under the tokens' names."""

import jax
import numpy as np

from research.analysis.alignment import decoder_maps
from research.data.text.tasks import LETTERS
from research.data.text.vocabulary import padded
from research.figures.attention_maps import attention_maps
from research.models.seq2seq import Seq2Seq


def test_marks_and_padding_have_no_place_on_a_map():
  texts = ("abc", "de")
  source = padded([LETTERS.encode(text) for text in texts], 4)
  target = padded([LETTERS.encode(text[::-1]) for text in texts], 6, begin=True, end=True)
  model = Seq2Seq(len(LETTERS), len(LETTERS), 2, 3, attention=True)
  params = jax.jit(model.init)(jax.random.key(0), (source, target[:, :-1]))["params"]
  pairs = {"source": source, "target": target}
  maps = decoder_maps(model, params, pairs, LETTERS.decode, LETTERS.decode)
  assert [(shown.read, shown.written) for shown in maps] == [
    (list("abc"), list("cba")),
    (list("de"), list("ed")),
  ]
  figure = attention_maps(dict(zip(texts, maps, strict=True)), caption="").figure
  drawn = [axes.images[0].get_array() for axes in figure.axes[:2]]
  assert [weights.shape for weights in drawn] == [(3, 3), (2, 2)]
  for weights in drawn:  # nothing is given to the padding of the source
    np.testing.assert_allclose(np.asarray(weights).sum(axis=1), 1, rtol=1e-5)
