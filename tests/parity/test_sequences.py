"""Our layers with PyTorch's weights give PyTorch's numbers; our BLEU is sacrebleu's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.analysis.bleu import corpus_bleu
from research.layers.attention import MultiHeadAttention, causal_mask, key_mask
from research.layers.recurrent import CELLS, RecurrentStack
from research.layers.transformer import DecoderLayer, EncoderLayer

TOLERANCE = 1e-5
BATCH, TIME, FEATURES, HIDDEN = 3, 6, 8, 10
LENGTHS = (6, 2, 4)
MASK = np.arange(TIME)[None] < np.array(LENGTHS)[:, None]


def close(ours, theirs):
  np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=TOLERANCE, rtol=0)


def inputs(seed=0, features=FEATURES, time=TIME):
  return jnp.asarray(np.random.default_rng(seed).normal(size=(BATCH, time, features)), jnp.float32)


def array(tensor):
  return jnp.asarray(tensor.detach().numpy())


def recurrent_params(layer, suffix, cell):
  part = {
    name: array(getattr(layer, f"{name}_{suffix}"))
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
  }
  params = {"kernel": part["weight_ih"].T, "recurrent": part["weight_hh"].T}
  if cell == "gru":  # the new state's two biases stay apart
    both = part["bias_ih"] + part["bias_hh"].at[2 * HIDDEN :].set(0)
    return params | {"bias": both, "recurrent_bias": part["bias_hh"][2 * HIDDEN :]}
  return params | {"bias": part["bias_ih"] + part["bias_hh"]}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (2, False), (2, True)])
@pytest.mark.parametrize("masked", [False, True])
def test_recurrent_layers(cell, layers, bidirectional, masked):
  torch = pytest.importorskip("torch")
  torch.manual_seed(0)
  kind = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell]
  theirs = kind(FEATURES, HIDDEN, layers, batch_first=True, bidirectional=bidirectional)
  suffixes = [
    f"l{layer}{way}" for layer in range(layers) for way in ("", "_reverse")[: 1 + bidirectional]
  ]
  params = {
    f"Recurrent_{number}": recurrent_params(theirs, suffix, cell)
    for number, suffix in enumerate(suffixes)
  }
  ours = RecurrentStack(HIDDEN, layers, cell, bidirectional)
  x = inputs()
  outputs, carries = ours.apply({"params": params}, x, None, jnp.asarray(MASK) if masked else None)
  given = torch.tensor(np.asarray(x))
  if masked:
    given = torch.nn.utils.rnn.pack_padded_sequence(
      given, LENGTHS, batch_first=True, enforce_sorted=False
    )
  expected, last = theirs(given)
  if masked:
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(
      expected, batch_first=True, total_length=TIME
    )
  close(outputs, expected)
  for number, state in enumerate(last if cell == "lstm" else (last,)):
    close(np.stack([carry[number] for carry in carries]), state)


def attention_params(theirs, features):
  kernel, bias = array(theirs.in_proj_weight), array(theirs.in_proj_bias)
  parts = {
    name: {
      "kernel": kernel[i * features : (i + 1) * features].T,
      "bias": bias[i * features : (i + 1) * features],
    }
    for i, name in enumerate(("query", "key", "value"))
  }
  return parts | {"out": dense_params(theirs.out_proj)}


def dense_params(theirs):
  return {"kernel": array(theirs.weight).T, "bias": array(theirs.bias)}


def norm_params(theirs):
  return {"LayerNorm_0": {"scale": array(theirs.weight), "bias": array(theirs.bias)}}


def layer_params(theirs, norms):
  params = {
    "attention": attention_params(theirs.self_attn, FEATURES),
    "feed_forward": {
      "Dense_0": dense_params(theirs.linear1),
      "Dense_1": dense_params(theirs.linear2),
    },
  }
  return params | {f"residuals_{i}": norm_params(norm) for i, norm in enumerate(norms)}


@pytest.fixture
def torch():
  module = pytest.importorskip("torch")
  module.manual_seed(0)
  return module


def test_multi_head_attention_and_its_masks(torch):
  theirs = torch.nn.MultiheadAttention(FEATURES, 4, batch_first=True)
  torch.nn.init.normal_(theirs.in_proj_bias)
  ours = MultiHeadAttention(FEATURES, 4)
  variables = {"params": attention_params(theirs, FEATURES)}
  query, source = inputs(0), inputs(1)
  expected, weights = theirs(
    torch.tensor(np.asarray(query)),
    torch.tensor(np.asarray(source)),
    torch.tensor(np.asarray(source)),
    key_padding_mask=torch.tensor(~MASK),
    attn_mask=torch.tensor(~np.tril(np.ones((TIME, TIME), bool))),
    average_attn_weights=False,
  )
  read = ours.apply(variables, source, method="keys_values")
  mask = key_mask(jnp.asarray(MASK)) & causal_mask(TIME)
  outputs, seen = ours.apply(variables, query, read, mask)
  close(outputs, expected)
  close(seen, weights)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_encoder_layer(torch, pre_norm):
  theirs = torch.nn.TransformerEncoderLayer(
    FEATURES, 2, 16, 0.0, batch_first=True, norm_first=pre_norm
  )
  params = layer_params(theirs, (theirs.norm1, theirs.norm2))
  x = inputs()
  expected = theirs(torch.tensor(np.asarray(x)), src_key_padding_mask=torch.tensor(~MASK))
  ours, _ = EncoderLayer(FEATURES, 2, 16, pre_norm).apply(
    {"params": params}, x, key_mask(jnp.asarray(MASK))
  )
  np.testing.assert_allclose(ours[MASK], expected.detach().numpy()[MASK], atol=TOLERANCE)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_decoder_layer(torch, pre_norm):
  theirs = torch.nn.TransformerDecoderLayer(
    FEATURES, 2, 16, 0.0, batch_first=True, norm_first=pre_norm
  )
  params = layer_params(theirs, (theirs.norm1, theirs.norm2, theirs.norm3))
  params["cross_attention"] = attention_params(theirs.multihead_attn, FEATURES)
  x, source = inputs(0, time=4), inputs(1)
  causal = torch.tensor(~np.tril(np.ones((4, 4), bool)))
  expected = theirs(
    torch.tensor(np.asarray(x)),
    torch.tensor(np.asarray(source)),
    tgt_mask=causal,
    memory_key_padding_mask=torch.tensor(~MASK),
  )
  layer = DecoderLayer(FEATURES, 2, 16, pre_norm)
  read = layer.apply({"params": params}, source, method="read_source")
  ours, *_ = layer.apply({"params": params}, x, causal_mask(4), read, key_mask(jnp.asarray(MASK)))
  close(ours, expected)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_cell_is_flaxs(cell):
  import flax.linen as nn

  x = inputs()
  loop = nn.RNN(nn.GRUCell(HIDDEN) if cell == "gru" else nn.OptimizedLSTMCell(HIDDEN))
  variables = loop.init(jax.random.key(0), x)
  part = variables["params"]["cell"]

  def stack(side, name):
    gates = [part[side + gate] for gate in ("rzn" if cell == "gru" else "ifgo")]
    missing = jnp.zeros(HIDDEN)
    return jnp.concatenate([gate.get(name, missing) for gate in gates], axis=-1)

  params = {"kernel": stack("i", "kernel"), "recurrent": stack("h", "kernel")}
  if cell == "gru":
    params |= {"bias": stack("i", "bias"), "recurrent_bias": part["hn"]["bias"]}
  else:
    params["bias"] = stack("h", "bias")
  ours, _ = RecurrentStack(HIDDEN, 1, cell).apply({"params": {"Recurrent_0": params}}, x)
  np.testing.assert_allclose(ours, loop.apply(variables, x), atol=TOLERANCE)


def test_corpus_bleu_is_sacrebleus():
  sacrebleu = pytest.importorskip("sacrebleu")
  rng = np.random.default_rng(0)
  text = lambda: [f"w{token}" for token in rng.integers(0, 12, rng.integers(5, 20))]
  references = [[text() for _ in range(3)] for _ in range(40)]
  candidates = [[token for token in texts[0] if rng.random() > 0.15] for texts in references]
  joined = [[" ".join(text) for text in texts] for texts in zip(*references, strict=True)]
  for most in (2, 4):
    metric = sacrebleu.BLEU(tokenize="none", smooth_method="none", max_ngram_order=most, force=True)
    for known, kept in ((joined, references), (joined[:1], [texts[:1] for texts in references])):
      expected = metric.corpus_score([" ".join(text) for text in candidates], known)
      assert 100 * corpus_bleu(candidates, kept, most) == pytest.approx(expected.score, rel=1e-9)
