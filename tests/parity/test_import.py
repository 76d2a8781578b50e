"""Files that PyTorch wrote, read without it, and the command that converts them."""

# ruff: noqa: E402  (the first import decides whether there is anything to test)
import flax
import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from research.errors import UserError
from research.models import import_weights
from research.models.resnet import STAGES, ResNet
from research.models.state_dict import read_state_dict
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
  read = read_state_dict(tmp_path / "t.pth")
  assert list(read) == list(TENSORS)
  for name, tensor in TENSORS.items():
    assert read[name].shape == tuple(tensor.shape)
    np.testing.assert_array_equal(read[name].astype(float), tensor.double().numpy())


def test_reads_files_from_before_pytorch_0_4(tmp_path):
  """Their pickles name the older of two functions, as in torchvision's first VGG-16."""
  torch.save(TENSORS, tmp_path / "t.pth", _use_new_zipfile_serialization=False)
  older = (tmp_path / "t.pth").read_bytes().replace(b"_rebuild_tensor_v2\n", b"_rebuild_tensor\n")
  (tmp_path / "t.pth").write_bytes(older)
  np.testing.assert_array_equal(read_state_dict(tmp_path / "t.pth")["plain"], TENSORS["plain"])


@pytest.mark.parametrize("as_zip", [True, False])
def test_a_file_that_asks_for_other_names_is_refused(tmp_path, as_zip):
  torch.save(torch.nn.Linear(2, 3), tmp_path / "m.pt", _use_new_zipfile_serialization=as_zip)
  with pytest.raises(UserError, match=r"it asks for .*torch.save\(model.state_dict"):
    read_state_dict(tmp_path / "m.pt")


def test_a_checkpoint_of_more_than_weights_is_refused(tmp_path):
  torch.save({"epoch": 3, "state_dict": TENSORS}, tmp_path / "c.pt")
  with pytest.raises(UserError, match="its entry 'epoch' is no tensor"):
    read_state_dict(tmp_path / "c.pt")


@pytest.mark.parametrize("keep", [0, 10, 1000])
def test_a_damaged_file_is_refused(tmp_path, keep):
  torch.save(TENSORS, tmp_path / "t.pt")
  (tmp_path / "t.pt").write_bytes((tmp_path / "t.pt").read_bytes()[:keep])
  with pytest.raises(UserError, match="is not a PyTorch state_dict"):
    read_state_dict(tmp_path / "t.pt")


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


def test_a_layer_of_another_width_is_named(resnet18):
  state = {name: value.numpy() for name, value in resnet18.state_dict().items()}
  with pytest.raises(UserError, match=r"conv1\.weight is \[7, 7, 3, 64\].* needs \[7, 7, 3, 32\]"):
    variables_of(ResNet(18, width=32, classes=10), state, resnet_paths, (64, 64, 3))
  without = {name: value for name, value in state.items() if name != "layer3.0.bn1.weight"}
  with pytest.raises(
    UserError, match=r"nothing in the file is our .*BasicBlock_4/BatchNorm_0/scale"
  ):
    from_torchvision("resnet18", without)
