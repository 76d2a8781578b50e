"""Byte-pair encoding: frequent words whole, rare ones in parts (Sennrich et al. 2016).

Merges are learnt and applied by the package `tokenizers`, which the default word tokeniser does
not need.
"""

from collections.abc import Iterable

import numpy as np

from research.data.text.sentences import Tokeniser, Words
from research.data.text.vocabulary import END, MARKS
from research.errors import UserError


def learn(sentences: Iterable[Words], size: int) -> Tokeniser:
  """A tokeniser of at most `size` parts, the marks included, learnt from sentences.

  Raises UserError where the package `tokenizers` is not installed, or where the letters alone are
  more than `size`.
  """
  try:
    import tokenizers
  except ImportError as error:
    raise UserError(
      "byte pairs need the package tokenizers: pip install -e '.[sequences]'; "
      "or take --tokens=words"
    ) from error
  end_of_word = "</w>"
  model = tokenizers.models.BPE(unk_token=MARKS[3], end_of_word_suffix=end_of_word)
  tokenizer = tokenizers.Tokenizer(model)
  tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
  tokenizer.decoder = tokenizers.decoders.BPEDecoder(suffix=end_of_word)
  trainer = tokenizers.trainers.BpeTrainer(
    vocab_size=size,
    special_tokens=list(MARKS),
    end_of_word_suffix=end_of_word,
    show_progress=False,
  )
  tokenizer.train_from_iterator((" ".join(words) for words in sentences), trainer)
  count = tokenizer.get_vocab_size()
  if count > size:
    raise UserError(
      f"--vocabulary={size} has no room for the letters and marks of these sentences, which are "
      f"{count}; take at least as many"
    )

  def encode(words: Words) -> np.ndarray:
    return np.array(tokenizer.encode(" ".join(words)).ids, np.int32)

  def decode(numbers: np.ndarray) -> Words:
    written = np.asarray(numbers).tolist()
    if END in written:
      written = written[: written.index(END)]
    return tokenizer.decode(written).split()  # marks are special, so it leaves them out

  return Tokeniser(count, encode, decode, tokenizer.to_str)
