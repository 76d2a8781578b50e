"""How fast the DQN agent acts and learns on CartPole, beside two peers.

python benchmarks/dqn.py [--repeats=5] [--cores=1] [--torch_python=PATH]

CleanRL's script acts in one environment and purejaxrl's in ten side by side; both learn from 128
transitions once every 10 steps, by Adam at 2.5e-4, with 120 and 84 hidden units, a memory of 10,000
and a copy to the target network every 500 steps. `torch_dqn.py` and `gymnax_dqn.py` are written
after them, without their logging; ours has the same settings. The processes take turns, as in
`training.py`, whose flags this program takes. It needs gymnasium, gymnax, flashbax and chex.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from absl import app
from training import FLAGS, FOLDER, Side, ratio, take_turns

EQUAL = {
  "agent.replay_capacity": 10_000,
  "agent.batch_size": 128,
  "agent.n_step": 1,
  "agent.discount": 0.99,
  "optimizer.learning_rate": 2.5e-4,
  "optimizer.schedule": "constant",
}
PEERS = {  # the peer's program, and our settings that equal its own
  "CleanRL's way, PyTorch": (
    "torch_dqn.py",
    EQUAL | {"agent.num_envs": 1, "agent.learn_period": 10},
  ),
  "purejaxrl's way, gymnax and Flashbax": ("gymnax_dqn.py", EQUAL),
}
COLUMNS = ("peer", "ours, steps/s", "peer, steps/s", "ratio", "by processor time", "load")


def compare(peer: str) -> str:
  """Measures us and one peer: a row of the table."""
  file, settings = PEERS[peer]
  seconds = str(FLAGS.turn_seconds)
  ours = [sys.executable, str(FOLDER / "jax_dqn.py"), seconds, json.dumps(settings)]
  theirs = [FLAGS.torch_python, str(FOLDER / file), seconds, str(FLAGS.cores)]
  sides = [Side(ours, {"JAX_PLATFORMS": "cpu"}), Side(theirs, {"JAX_PLATFORMS": "cpu"})]
  take_turns(sides)
  own, other = (side.summary() for side in sides)
  shown = lambda side: f"{side['steps_per_second']:,.0f} ({side['best_steps_per_second']:,.0f})"
  processor = other["processor_seconds_per_step"] / own["processor_seconds_per_step"]
  load = Path("/proc/loadavg").read_text().split()[0]
  cells = (peer, shown(own), shown(other), f"**{ratio(*sides):.1f}**", f"{processor:.1f}", load)
  return f"| {' | '.join(cells)} |"


def main(_: list[str]) -> None:
  """Measures and prints: medians of the turns, the best turn in brackets."""
  print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
  for peer in PEERS:
    print(compare(peer), flush=True)


if __name__ == "__main__":
  app.run(main)
