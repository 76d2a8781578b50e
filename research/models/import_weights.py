"""PyTorch weights in torchvision's naming, made ours by one command; PyTorch is not needed.

    python -m research.models.import_weights --architecture=resnet18 --file=r18.pth --out=r18.npz

It reads a state_dict, a training checkpoint around one, or safetensors, and says what of it was not
loaded. Half precision becomes float32. The file that it writes holds one array per weight, by names
such as params/Conv_0/kernel. To use it:

    variables = flax.traverse_util.unflatten_dict(dict(numpy.load("r18.npz")), sep="/")
    logits = ResNet(18).apply(variables, images)

Where the last dense layer is missing, let `ResNet(18, classes=10).init` make it, and put it there.
Images are [batch, 224, 224, 3] (1 where the file is for one colour), normalised as torchvision's
documentation says; for GoogLeNet (pixel - 0.5) / 0.5, which torchvision's makes of that within the
network.
"""

import argparse
import io
import sys
from pathlib import Path

import flax
import jax
import numpy as np

from research.errors import UserError
from research.models.state_dict import read_weights
from research.models.torchvision import ARCHITECTURES, from_torchvision, shapes_of
from research.store.files import disk_full_is_a_user_error, write_atomically


def main(arguments: list[str]) -> int:
  """Does what the command line says; returns the exit code."""
  parser = argparse.ArgumentParser(
    "python -m research.models.import_weights", description=(__doc__ or "").splitlines()[0]
  )
  known = ", ".join(ARCHITECTURES)
  parser.add_argument("--architecture", required=True, help=f"one of {known}")
  parser.add_argument(
    "--file", required=True, type=Path, help="of weights, .pt, .pth or .safetensors"
  )
  parser.add_argument("--out", required=True, type=Path, help="where to write the .npz")
  options = parser.parse_args(arguments)
  try:
    lines = convert(options.architecture, options.file, options.out)
  except UserError as error:
    print(f"import_weights: {' '.join(str(error).split())}", file=sys.stderr)
    return error.exit_code
  print("\n".join(lines))
  return 0


def convert(architecture: str, file: Path, out: Path) -> list[str]:
  """Writes the weights in `file` to `out` in our layout; returns lines that tell of it.

  Raises:
    UserError: an unknown architecture, a file that is no state_dict or another net's, or no place
      to write to.
  """
  if not out.parent.is_dir():
    raise UserError(f"--out={out}: {out.parent} is not a folder")
  weights = read_weights(file)
  model, variables = from_torchvision(architecture, weights.tensors)
  flat = flax.traverse_util.flatten_dict(variables)
  content = io.BytesIO()
  np.savez(content, **{"/".join(place): array for place, array in flat.items()})
  with disk_full_is_a_user_error(out.parent):
    write_atomically(out, content.getvalue())
  count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
  lines = [f"{out}: {architecture}, {count:,} parameters"]
  if weights.left_out:
    lines.append(f"not loaded: {', '.join(weights.left_out)}")
  if absent := sorted(set(shapes_of(model, (224, 224, 3))) - set(flat)):
    lines.append(f"not in the file, for you to make: {', '.join(map('/'.join, absent))}")
  return lines


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
