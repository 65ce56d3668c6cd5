"""Give the local mean of the embedded encoder's features more weight against their contrast.

The training target takes away 0.7 of a channel's 17×17 surround. That makes features alike between laboratories, and
too alike between large uniform regions. Every kernel of ``contrast`` has a response to what is constant (the sum of
its taps, and its bias) and one to what varies; this multiplies the first by ``1 + gain`` and leaves the second alone.

    python rebalance.py encoder.safetensors -o encoder.safetensors --gain 1.0
"""

from __future__ import annotations

import argparse
from pathlib import Path

from distill import save
from safetensors.torch import load_file

from histofactor.encoders.embedded.network import EmbeddedNetwork


def main() -> None:
    """Read, rebalance, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--gain", type=float, default=1.0)
    arguments = parser.parse_args()
    state = {name: value.float() for name, value in load_file(arguments.weights).items()}
    kernel = state["contrast.weight"]
    constant = kernel.sum((2, 3), keepdim=True) / (kernel.shape[2] * kernel.shape[3])
    state["contrast.weight"] = kernel + arguments.gain * constant
    state["contrast.bias"] = (1 + arguments.gain) * state["contrast.bias"]
    network = EmbeddedNetwork()
    network.load_state_dict(state)
    save(network, arguments.out)


if __name__ == "__main__":
    main()
