"""Files that PyTorch wrote, read without it, and the command that converts them."""

# ruff: noqa: E402  (the first import decides whether there is anything to test)
import json

import flax
import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from research.errors import UserError
from research.models import import_weights
from research.models.resnet import STAGES, ResNet
from research.models.state_dict import read_weights
from research.models.torchvision import from_torchvision, resnet_paths, variables_of
from tests.parity import peers

TENSORS = {
  "plain": torch.arange(6.0).reshape(2, 3),
  "transposed": torch.arange(6.0).reshape(2, 3).T,
  "sliced": torch.arange(10, dtype=torch.float64)[2:8:3],
  "half": torch.tensor([1.5, -2], dtype=torch.float16),
  "brain": torch.tensor([1.5, -2], dtype=torch.bfloat16),
  "count": torch.tensor(7),
  "empty": torch.zeros(0, 3),
}


@pytest.mark.parametrize("as_zip", [True, False])
def test_reads_what_torch_writes(tmp_path, as_zip):
  torch.save(TENSORS, tmp_path / "t.pth", _use_new_zipfile_serialization=as_zip)
  read = read_weights(tmp_path / "t.pth").tensors
  assert list(read) == list(TENSORS)
  for name, tensor in TENSORS.items():
    assert read[name].shape == tuple(tensor.shape)
    np.testing.assert_array_equal(read[name].astype(float), tensor.double().numpy())


def test_reads_files_from_before_pytorch_0_4(tmp_path):
  """Their pickles name the older of two functions, as in torchvision's first VGG-16."""
  torch.save(TENSORS, tmp_path / "t.pth", _use_new_zipfile_serialization=False)
  older = (tmp_path / "t.pth").read_bytes().replace(b"_rebuild_tensor_v2\n", b"_rebuild_tensor\n")
  (tmp_path / "t.pth").write_bytes(older)
  np.testing.assert_array_equal(read_weights(tmp_path / "t.pth").tensors["plain"], TENSORS["plain"])


@pytest.mark.parametrize("as_zip", [True, False])
def test_a_file_that_asks_for_other_names_is_refused(tmp_path, as_zip):
  torch.save(torch.nn.Linear(2, 3), tmp_path / "m.pt", _use_new_zipfile_serialization=as_zip)
  with pytest.raises(UserError, match=r"it asks for .*torch.save\(model.state_dict"):
    read_weights(tmp_path / "m.pt")


@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model"])
def test_a_training_checkpoint_gives_its_weights_and_names_the_rest(tmp_path, wrapper, as_zip):
  net = torch.nn.Linear(2, 3)
  optimizer = torch.optim.Adam(net.parameters())
  net(torch.ones(1, 2)).sum().backward()
  optimizer.step()
  whole = {"epoch": 3, "optimizer": optimizer.state_dict(), wrapper: net.state_dict(), "best": 0.5}
  torch.save(whole, tmp_path / "c.pt", _use_new_zipfile_serialization=as_zip)
  tensors, left_out = read_weights(tmp_path / "c.pt")
  assert left_out == ["epoch", "optimizer", "best"] and list(tensors) == ["weight", "bias"]
  np.testing.assert_array_equal(tensors["weight"], net.weight.detach())


def test_a_checkpoint_without_weights_is_refused(tmp_path):
  torch.save({"epoch": 3, "ema": TENSORS}, tmp_path / "c.pt")
  with pytest.raises(
    UserError, match=r"its entry 'epoch' is no tensor, .* state_dict, .*torch.save"
  ):
    read_weights(tmp_path / "c.pt")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model."])
def test_the_prefixes_of_wrappers_go(tmp_path, prefix):
  renamed = {prefix + name: tensor for name, tensor in TENSORS.items()}
  torch.save({"state_dict": renamed}, tmp_path / "t.pt")
  assert list(read_weights(tmp_path / "t.pt").tensors) == list(TENSORS)
  torch.save(renamed | {"other": torch.ones(1)}, tmp_path / "t.pt")
  assert list(read_weights(tmp_path / "t.pt").tensors) == [*renamed, "other"]


SAFE = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def write_safetensors(path, tensors):
  """The format's own description: a length, a JSON header, then the numbers."""
  header, numbers = {"__metadata__": {"format": "pt"}}, b""
  for name, tensor in tensors.items():
    data = bytes(tensor.contiguous().view(torch.uint8).numpy()) if tensor.numel() else b""
    place = [len(numbers), len(numbers) + len(data)]
    dtype = SAFE.get(tensor.dtype, "I64")
    header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": place}
    numbers += data
  text = json.dumps(header).encode()
  text += b" " * (-len(text) % 8)
  path.write_bytes(len(text).to_bytes(8, "little") + text + numbers)


def test_reads_safetensors(tmp_path):
  tensors = {name: tensor.reshape(tensor.shape or (1,)) for name, tensor in TENSORS.items()}
  for name in ("t.safetensors", "t.bin"):
    write_safetensors(tmp_path / name, tensors)
    read = read_weights(tmp_path / name).tensors
    assert list(read) == list(tensors)
    for key, tensor in tensors.items():
      assert read[key].shape == tuple(tensor.shape)
      np.testing.assert_array_equal(read[key].astype(float), tensor.double().numpy())
  whole = (tmp_path / "t.safetensors").read_bytes()
  for damaged in (whole[:4], whole[:40], whole[:-1], whole.replace(b'"F64"', b'"F8Q"')):
    (tmp_path / "t.safetensors").write_bytes(damaged)
    with pytest.raises(UserError, match="is not a PyTorch state_dict"):
      read_weights(tmp_path / "t.safetensors")


@pytest.mark.parametrize("keep", [0, 10, 1000])
def test_a_damaged_file_is_refused(tmp_path, keep):
  torch.save(TENSORS, tmp_path / "t.pt")
  (tmp_path / "t.pt").write_bytes((tmp_path / "t.pt").read_bytes()[:keep])
  with pytest.raises(UserError, match="is not a PyTorch state_dict"):
    read_weights(tmp_path / "t.pt")


@pytest.fixture(scope="module")
def resnet18():
  return peers.ResNet(STAGES[18], 64, 10).eval()


def test_one_command_converts(tmp_path, capsys, resnet18):
  torch.save(resnet18.state_dict(), tmp_path / "r.pth")
  file, out = tmp_path / "r.pth", tmp_path / "r.npz"
  command = ["--architecture=resnet18", f"--file={file}", f"--out={out}"]
  assert import_weights.main(command) == 0
  assert "11,181,642 parameters" in capsys.readouterr().out
  variables = flax.traverse_util.unflatten_dict(dict(np.load(out)), sep="/")
  images = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype(np.float32)
  logits = jax.jit(ResNet(18, classes=10).apply)(variables, jax.numpy.asarray(images))
  with torch.no_grad():
    expected = resnet18(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
  np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


def test_wrong_requests_are_one_line(tmp_path, capsys, resnet18):
  torch.save(resnet18.state_dict(), tmp_path / "r.pth")
  ask = lambda architecture, file="r.pth", out="x.npz": import_weights.main(
    [f"--architecture={architecture}", f"--file={tmp_path / file}", f"--out={tmp_path / out}"]
  )
  for says, request in (
    ("and this ResNet needs", {"architecture": "resnet34"}),
    ("has no", {"architecture": "vgg16"}),
    ("did you mean resnet18", {"architecture": "resnet19"}),
    ("No such file", {"architecture": "resnet18", "file": "none.pth"}),
    ("is not a folder", {"architecture": "resnet18", "out": "no/x.npz"}),
  ):
    assert ask(**request) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


def as_numpy(net):
  return {name: value.numpy().copy() for name, value in net.state_dict().items()}


def test_a_file_without_a_head_gives_the_rest_and_says_so(tmp_path, capsys, resnet18):
  state = {name: t for name, t in resnet18.state_dict().items() if not name.startswith("fc.")}
  halves = {name: t.half() if t.is_floating_point() else t for name, t in state.items()}
  torch.save({"epoch": 1, "model": halves}, tmp_path / "r.pth")
  out = tmp_path / "r.npz"
  command = ["--architecture=resnet18", f"--file={tmp_path / 'r.pth'}", f"--out={out}"]
  assert import_weights.main(command) == 0
  said = capsys.readouterr().out.splitlines()
  assert said[1:] == [
    "not loaded: epoch",
    "not in the file, for you to make: params/Dense_0/bias, params/Dense_0/kernel",
  ]
  arrays = np.load(out)
  assert arrays["params/Conv_0/kernel"].dtype == np.float32 and len(arrays) == 100


def test_a_stem_for_other_colours_is_taken():
  net = peers.ResNet(STAGES[18], 8, 3)
  net.conv1 = torch.nn.Conv2d(1, 8, 7, 2, 3, bias=False)
  variables = variables_of(ResNet(18, width=8, classes=3), as_numpy(net), resnet_paths, (64, 64, 1))
  assert variables["params"]["Conv_0"]["kernel"].shape == (7, 7, 1, 8)


def test_a_whole_net_of_one_colour_is_taken(resnet18):
  state = as_numpy(resnet18)
  state["conv1.weight"] = state["conv1.weight"][:, :1]
  _, variables = from_torchvision("resnet18", state)
  assert variables["params"]["Conv_0"]["kernel"].shape == (7, 7, 1, 64)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused_by_name(resnet18, value):
  state = as_numpy(resnet18)
  state["layer2.0.bn1.running_var"][3] = value
  with pytest.raises(UserError, match=r"layer2.0.bn1.running_var holds 1 numbers of 128 that"):
    from_torchvision("resnet18", state)


def test_whole_numbers_and_strange_names_are_refused(resnet18):
  state = as_numpy(resnet18)
  with pytest.raises(UserError, match=r"fc.bias holds int8; save"):
    from_torchvision("resnet18", state | {"fc.bias": state["fc.bias"].astype(np.int8)})
  with pytest.raises(UserError, match=r"have no first layer .*such as stem.a, stem.b"):
    from_torchvision("resnet18", {"stem.a": state["fc.bias"], "stem.b": state["fc.bias"]})


def test_a_layer_of_another_width_is_named(resnet18):
  state = {name: value.numpy() for name, value in resnet18.state_dict().items()}
  with pytest.raises(UserError, match=r"conv1\.weight is \[7, 7, 3, 64\].* needs \[7, 7, 3, 32\]"):
    variables_of(ResNet(18, width=32, classes=10), state, resnet_paths, (64, 64, 3))
  without = {name: value for name, value in state.items() if name != "layer3.0.bn1.weight"}
  with pytest.raises(
    UserError, match=r"nothing in the file is our .*BasicBlock_4/BatchNorm_0/scale"
  ):
    from_torchvision("resnet18", without)
