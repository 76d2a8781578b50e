"""The DQN agent as CleanRL's single file has it: gymnasium, NumPy's arrays and PyTorch.

Run by `dqn.py`; a step is one of the environment, every tenth of them learns.
"""

import sys

import gymnasium
import numpy as np
import torch
from child import serve
from torch import nn

CAPACITY, BATCH, LEARN_EVERY, COPY_EVERY = 10_000, 128, 10, 500
LEARNING_RATE, DISCOUNT, EPSILON = 2.5e-4, 0.99, 0.05
STEPS = 100  # between looks at the clock


def network() -> nn.Module:
  return nn.Sequential(
    nn.Linear(4, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 2)
  )


def main() -> None:
  turn_seconds, threads = float(sys.argv[1]), int(sys.argv[2])
  torch.set_num_threads(threads)
  rng, environment = np.random.default_rng(0), gymnasium.make("CartPole-v1")
  online, target = network(), network()
  target.load_state_dict(online.state_dict())
  optimizer = torch.optim.Adam(online.parameters(), lr=LEARNING_RATE)
  seen, following = (np.zeros((CAPACITY, 4), np.float32) for _ in range(2))
  action, reward = np.zeros(CAPACITY, np.int64), np.zeros(CAPACITY, np.float32)
  ended = np.zeros(CAPACITY, np.float32)
  observation, _ = environment.reset(seed=0)
  made = 0

  def act() -> None:
    nonlocal observation, made
    if made < CAPACITY or rng.random() < EPSILON:
      chosen = int(rng.integers(2))
    else:
      with torch.no_grad():
        chosen = int(online(torch.from_numpy(observation)).argmax())
    after, gain, is_terminal, is_cut, _ = environment.step(chosen)
    place = made % CAPACITY
    seen[place], following[place] = observation, after
    action[place], reward[place], ended[place] = chosen, gain, is_terminal
    observation = environment.reset()[0] if is_terminal or is_cut else after
    made += 1

  def learn() -> None:
    rows = rng.integers(CAPACITY, size=BATCH)
    take = lambda array: torch.from_numpy(array[rows])
    with torch.no_grad():
      best = target(take(following)).max(dim=1).values
      goal = take(reward) + DISCOUNT * best * (1 - take(ended))
    value = online(take(seen)).gather(1, take(action)[:, None]).squeeze(1)
    loss = nn.functional.mse_loss(value, goal)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

  while made < CAPACITY:
    act()

  def train() -> int:
    for _ in range(STEPS):
      act()
      if made % LEARN_EVERY == 0:
        learn()
      if made % COPY_EVERY == 0:
        target.load_state_dict(online.state_dict())
    return STEPS

  serve({}, train, turn_seconds)


main()
