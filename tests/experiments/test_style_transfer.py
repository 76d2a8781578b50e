"""Style transfer as an experiment: its claims and pages, from made-up fits."""

import pytest

import research as ln
from experiments.vision import style_transfer
from research.analysis import imagenet_judge
from research.config import replace
from tests.fixtures.little_photographs import replace_convolutions
from tests.fixtures.stand_in_labs import UntrainedLab


def test_a_style_report_has_its_claims_and_pages(monkeypatch):
  replace_convolutions(monkeypatch)
  judged = lambda photograph, pictures: [7 for _ in pictures]
  monkeypatch.setattr(imagenet_judge, "check", lambda: None)
  monkeypatch.setattr(imagenet_judge, "places_of_class", judged)
  monkeypatch.setattr(style_transfer, "LAYERS", ("conv1_1", "conv2_1"))
  layers = {"content_layers": "conv1_1", "style_layers": "conv1_1"}
  config = style_transfer.Config(size=16, steps=2, steps_alone=2, **layers)
  report = style_transfer.run(config, StyleLab())
  found = {claim.what: float(claim.ours) for claim in report.claims}
  assert len(found) == 10 and found["content loss alone falls by, least of five"] == 0.75
  assert found["alpha / beta 1e-07: place of the content's class"] == 7
  # The stand-in's numbers are equal at every alpha / beta.
  assert found["larger alpha / beta that raise the style loss"] == 0
  assert [picture.name for picture in report.pictures] == ["page", "layers", "optimizers"]


class StyleLab(UntrainedLab):
  """All losses fall from 1 to a quarter, by one evaluation and a half a step."""

  def fit(self, name, config, training):
    fit = super().fit(name, config, training)
    rows = [
      {key: value * share for key, value in row.items() if key.startswith("picture/")}
      for row, share in zip(fit.history, (2, 0.5), strict=True)
    ]
    steps = {"step": training.steps, "train/evaluations": 1.5}
    return fit._replace(history=[{"step": 0, **rows[0]}, {**steps, **rows[1]}])


def test_a_sweep_between_two_losses_needs_layers_of_both(monkeypatch):
  monkeypatch.setattr(imagenet_judge, "check", lambda: None)
  for without in ("content_layers", "style_layers"):
    config = replace(style_transfer.Config(), {without: " "})
    with pytest.raises(ln.UserError, match="layers of one only: --single_fit"):
      style_transfer.run(config, StyleLab())
