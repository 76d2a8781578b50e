"""Machines that programs can be compiled for without having one."""

import importlib.util
import math
import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies

from research.errors import UserError, unknown_name

GIB = 2**30
# The share of its memory that JAX takes on a GPU, by its guide on memory allocation.
GPU_SHARE = 0.75
DEVICES_PER_GPU_HOST = 8


class Chip(NamedTuple):
  """One device, as JAX counts them: a half of a TPU7x, else a whole chip.

  Attributes:
    memory: bytes that a program may use: on a TPU those that its compiler allows, on a GPU
      `GPU_SHARE` of all.
    flops: operations a second at most, of bfloat16 products without sparsity.
    bandwidth: bytes of memory a second at most.
    source: of the last two.
    smallest: the smallest topology that the compiler knows; "" for a GPU.
    target: what XLA's compiler for GPUs asks about it; "" for a TPU.
  """

  memory: float
  flops: float
  bandwidth: float
  source: str
  smallest: str = ""
  target: str = ""


def _gpu(memory: int, bandwidth: int, cores: int, **other: Any) -> str:
  """XLA's description of a GPU, a text of its GpuTargetConfigProto, from the vendor's facts."""
  facts = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "shared_memory_per_block": 49152,
    "shared_memory_per_core": other["shared"],
    "threads_per_core_limit": 2048,
    "core_count": cores,
    "fpus_per_core": other["units"],
    "block_dim_limit_x": 2**31 - 1,
    "block_dim_limit_y": 65535,
    "block_dim_limit_z": 65535,
    "memory_bandwidth": bandwidth,
    "l2_cache_size": other["cache"],
    "clock_rate_ghz": other["clock"],
    "device_memory_size": memory,
    "shared_memory_per_block_optin": other["shared"] - 1024,
    "registers_per_core_limit": 65536,
    "registers_per_block_limit": 65536,
  }
  lines = "\n".join(f"  {name}: {value}" for name, value in facts.items())
  return (
    f"gpu_device_info {{\n{lines}\n  cuda_compute_capability {{ major: {other['major']} }}\n}}\n"
    'platform_name: "CUDA"\ndnn_version_info { major: 9 minor: 8 }\n'
    "runtime_version { major: 12 minor: 8 patch: 0 }\n"
    f'device_description_str: "{other["name"]}"\n'
  )


_AMPERE = {"shared": 167936, "units": 64, "cache": 40 * 2**20, "clock": 1.41, "major": 8}
_HOPPER = {"shared": 233472, "units": 128, "cache": 50 * 2**20, "clock": 1.98, "major": 9}
_CLOUD = "Google Cloud, TPU documentation: "
_NVIDIA = "NVIDIA, data sheet: "
CHIPS = {
  "tpu": {
    "v5e": Chip(15.75 * GIB, 197e12, 819e9, _CLOUD + "TPU v5e", "2x2"),
    "v5p": Chip(95.74 * GIB, 459e12, 2765e9, _CLOUD + "TPU v5p", "2x2x1"),
    "v6e": Chip(31.25 * GIB, 918e12, 1638e9, _CLOUD + "TPU v6e", "2x2"),
    "tpu7x": Chip(94.75 * GIB, 2307e12 / 2, 7380e9 / 2, _CLOUD + "TPU7x, half a chip", "2x2x1"),
  },
  "gpu": {
    "a100": Chip(
      GPU_SHARE * 85_100_068_864,
      312e12,
      2039e9,
      _NVIDIA + "A100 80GB SXM",
      target=_gpu(85_100_068_864, 2_039_040_000_000, 108, name="NVIDIA A100-SXM4-80GB", **_AMPERE),
    ),
    "h100": Chip(
      GPU_SHARE * 84_929_347_584,
      989e12,
      3350e9,
      _NVIDIA + "H100 SXM",
      target=_gpu(84_929_347_584, 3_352_320_000_000, 132, name="NVIDIA H100 80GB HBM3", **_HOPPER),
    ),
    "h200": Chip(
      GPU_SHARE * 151_397_597_184,
      989e12,
      4800e9,
      _NVIDIA + "H200 SXM",
      target=_gpu(151_397_597_184, 4_800_000_000_000, 132, name="NVIDIA H200", **_HOPPER),
    ),
  },
}
_EXTRAS = {
  "tpu": ("tpu-plan", "libtpu", ("libtpu",)),
  "gpu": (
    "gpu-plan",
    "jax-cuda12-plugin and jax-cuda12-pjrt",
    ("jax_cuda12_plugin", "jax_plugins"),
  ),
}
# Read by libtpu at its start: it is on no TPU, and several processes may plan at once.
_ALONE = {
  "TPU_WORKER_HOSTNAMES": "localhost",
  "TPU_SKIP_MDS_QUERY": "1",
  "TPU_ACCELERATOR_TYPE": "v5litepod-4",
  "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


class Machine(NamedTuple):
  """A machine that is compiled for.

  Attributes:
    name: as it was asked for, such as "tpu:v5e:2x2".
    platform: "tpu" or "gpu".
    chip: what each of its devices is.
    devices: stand-ins for them, which compile and do not compute.
  """

  name: str
  platform: str
  chip: Chip
  devices: Sequence[Any]


def parse(name: str) -> tuple[str, str, str]:
  """The platform, the chip and the topology that a machine's name says; nothing is loaded for it.

  Raises:
    UserError: for a name that is none, with what is known.
  """
  platform, _, rest = name.partition(":")
  kind, _, topology = rest.partition(":")
  if platform not in CHIPS:
    raise UserError(
      f"--on={name}: {unknown_name(platform, CHIPS, 'platform')}; write tpu:v5e:2x2 or gpu:h100:8"
    )
  if kind not in CHIPS[platform]:
    raise UserError(f"--on={name}: {unknown_name(kind, CHIPS[platform], f'{platform} chip')}")
  is_size = re.fullmatch(r"[1-9]\d{0,3}", topology)
  is_slice = platform == "tpu" and re.fullmatch(r"[1-9]\d{0,2}(x[1-9]\d{0,2}){1,2}", topology)
  if platform == "tpu" and not (is_slice or topology == "1"):
    smallest = CHIPS[platform][kind].smallest
    raise UserError(f"--on={name}: give a slice, as in tpu:{kind}:{smallest}, or 1 for one chip")
  if platform == "gpu":
    count = int(topology) if is_size else 0
    if not count or (count > DEVICES_PER_GPU_HOST and count % DEVICES_PER_GPU_HOST):
      raise UserError(
        f"--on={name}: give how many, as in gpu:{kind}:8; more than {DEVICES_PER_GPU_HOST} are "
        f"whole hosts of {DEVICES_PER_GPU_HOST}"
      )
  return platform, kind, topology


def machine(name: str) -> Machine:
  """The machine of a name such as "tpu:v5e:2x2" (a slice), "tpu:v5e:1" or "gpu:h100:8".

  Raises:
    UserError: for a name that is none, a slice that there is none of, or a missing package.
  """
  platform, kind, topology = parse(name)
  extra, packages, modules = _EXTRAS[platform]
  if not all(importlib.util.find_spec(module) for module in modules):
    raise UserError(
      f"--on={name} needs {packages}; install what compiles for it with: "
      f"pip install -e '.[{extra}]'"
    )
  for variable, value in _ALONE.items():
    os.environ.setdefault(variable, value)
  chip = CHIPS[platform][kind]
  try:
    devices = _tpus(kind, topology, chip) if platform == "tpu" else _gpus(int(topology), chip)
  except jax.errors.JaxRuntimeError as error:
    raise UserError(f"--on={name}: {' '.join(str(error).split())}") from error
  return Machine(name, platform, chip, devices)


def _tpus(kind: str, topology: str, chip: Chip) -> Sequence[Any]:
  shape = chip.smallest if topology == "1" else topology
  found = topologies.get_topology_desc(platform="tpu", topology_name=f"{kind}:{shape}").devices
  per_chip = max(1, len(found) // math.prod(map(int, shape.split("x"))))
  return found[:per_chip] if topology == "1" else found


def _gpus(count: int, chip: Chip) -> Sequence[Any]:
  hosts = math.ceil(count / DEVICES_PER_GPU_HOST)
  return topologies.get_topology_desc(
    platform="cuda", target_config=chip.target, topology=f"1x{hosts}x{count // hosts}"
  ).devices
