"""Trains one sequence net with PyTorch's own layers; a child of `sequences.py`.

python benchmarks/torch_sequences.py NETWORK TURN_SECONDS FILE_WITH_WEIGHTS_AND_BATCHES THREADS
"""

import math
import sys

import numpy as np
import sequence_networks as sizes
import torch
import torch.nn.functional as F
from child import serve
from networks import COMPARED_STEPS, LEARNING_RATE, MOMENTUM
from torch import nn


class Weights:
  """JAX's weights below one place of their tree."""

  def __init__(self, file, place=""):
    self.file, self.place = file, place

  def below(self, name):
    return Weights(self.file, f"{self.place}{name}/")

  def __getitem__(self, name):
    return torch.from_numpy(np.ascontiguousarray(self.file[self.place + name]))


def put(parameter, value):
  with torch.no_grad():
    parameter.copy_(value)


def put_dense(layer, weights):
  put(layer.weight, weights["kernel"].T)
  put(layer.bias, weights["bias"])


def put_norm(layer, weights):
  put(layer.weight, weights["scale"])
  put(layer.bias, weights["bias"])


def put_attention(layer, weights):
  parts = [weights.below(name) for name in ("query", "key", "value")]
  put(layer.in_proj_weight, torch.cat([part["kernel"].T for part in parts]))
  put(layer.in_proj_bias, torch.cat([part["bias"] for part in parts]))
  put_dense(layer.out_proj, weights.below("out"))


def put_layer(layer, weights, norms):
  put_attention(layer.self_attn, weights.below("attention"))
  put_dense(layer.linear1, weights.below("feed_forward/Dense_0"))
  put_dense(layer.linear2, weights.below("feed_forward/Dense_1"))
  for number, norm in enumerate(norms):
    put_norm(norm, weights.below(f"residuals_{number}/LayerNorm_0"))


class LanguageModel(nn.Module):
  """Embedding, one LSTM layer, logits."""

  def __init__(self, file):
    super().__init__()
    weights = Weights(file, "LanguageModel_0/")
    self.embedding = nn.Embedding(sizes.VOCABULARY, sizes.EMBEDDING)
    self.lstm = nn.LSTM(sizes.EMBEDDING, sizes.UNITS, batch_first=True)
    self.out = nn.Linear(sizes.UNITS, sizes.VOCABULARY)
    put(self.embedding.weight, weights["Embed_0/embedding"])
    layer = weights.below("RecurrentStack_0/Recurrent_0")
    put(self.lstm.weight_ih_l0, layer["kernel"].T)
    put(self.lstm.weight_hh_l0, layer["recurrent"].T)
    put(self.lstm.bias_ih_l0, layer["bias"])
    put(self.lstm.bias_hh_l0, torch.zeros(4 * sizes.UNITS))
    self.lstm.bias_hh_l0.requires_grad_(False)  # two biases would learn twice as fast as one
    put_dense(self.out, weights.below("Dense_0"))

  def forward(self, _, tokens):
    return self.out(self.lstm(self.embedding(tokens))[0])


class Transformer(nn.Module):
  """Encoder and decoder of two layers, norms before the sublayers."""

  def __init__(self, file):
    super().__init__()
    weights, features = Weights(file), sizes.FEATURES
    settings = {"dropout": 0.0, "batch_first": True, "norm_first": True}
    encoder = nn.TransformerEncoderLayer(features, sizes.HEADS, sizes.HIDDEN, **settings)
    decoder = nn.TransformerDecoderLayer(features, sizes.HEADS, sizes.HIDDEN, **settings)
    self.encoder = nn.TransformerEncoder(
      encoder, sizes.LAYERS, nn.LayerNorm(features), enable_nested_tensor=False
    )
    self.decoder = nn.TransformerDecoder(decoder, sizes.LAYERS, nn.LayerNorm(features))
    self.source, self.target = (nn.Embedding(sizes.VOCABULARY, features) for _ in range(2))
    self.out = nn.Linear(features, sizes.VOCABULARY)
    put(self.source.weight, weights["source_embedding/embedding"])
    put(self.target.weight, weights["target_embedding/embedding"])
    put_dense(self.out, weights.below("out"))
    for number, layer in enumerate(self.encoder.layers):
      own = weights.below(f"encoder/EncoderLayer_{number}")
      put_layer(layer, own, (layer.norm1, layer.norm2))
    for number, layer in enumerate(self.decoder.layers):
      own = weights.below(f"decoder/stack_{number}")
      put_layer(layer, own, (layer.norm1, layer.norm2, layer.norm3))
      put_attention(layer.multihead_attn, own.below("cross_attention"))
    put_norm(self.encoder.norm, weights.below("encoder/LayerNorm_0"))
    put_norm(self.decoder.norm, weights.below("decoder/norm"))
    angles = torch.arange(sizes.LONGEST)[:, None] * 10_000.0 ** (
      -torch.arange(0, features, 2) / features
    )
    self.places = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
    self.scale = math.sqrt(features)

  def forward(self, source, target):
    placed = lambda embedded: embedded * self.scale + self.places[: embedded.shape[1]]
    mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
    read = self.encoder(placed(self.source(source)))
    written = self.decoder(placed(self.target(target)), read, tgt_mask=mask, tgt_is_causal=True)
    return self.out(written)


MODELS = {"lstm": LanguageModel, "transformer": Transformer}


def main():
  name, turn_seconds, path, threads = sys.argv[1:5]
  torch.set_num_threads(int(threads))
  size, file = sizes.NETWORKS[name].batch_size, np.load(path)
  model = MODELS[name](file)
  source, target = (torch.from_numpy(file[key]).long() for key in ("source", "target"))
  parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
  optimizer = torch.optim.SGD(parameters, lr=LEARNING_RATE, momentum=MOMENTUM)

  def step(chosen):
    optimizer.zero_grad()
    logits = model(source[chosen], target[chosen, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), target[chosen, 1:].flatten())
    loss.backward()
    optimizer.step()
    return loss.detach()

  batches = [torch.from_numpy(batch.astype(np.int64)) for batch in file["batches"]]
  losses = [float(step(batch)) for batch in batches[:COMPARED_STEPS]]
  made = 0
  epoch = torch.randperm(sizes.EXAMPLES)

  def train():
    nonlocal made, epoch
    at = made * size % sizes.EXAMPLES
    if at + size > sizes.EXAMPLES:
      at, epoch = 0, torch.randperm(sizes.EXAMPLES)
    step(epoch[at : at + size])
    made += 1
    return 1

  serve({"losses": losses}, train, float(turn_seconds))


main()
