"""What would concepts from slides of TCGA cost? Figures from stated assumptions, to be put in your own.

python benchmarks/tcga_cost.py [--slides N] [--gb G] [--mbit M] [--windows W] [--seconds S]     prints a table
"""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

JOBS = 2  # downloads ahead of the encoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slides", type=int, default=10_000)
    parser.add_argument("--gb", type=float, default=1.0, help="size of a slide; `tcga list` prints the true sum")
    parser.add_argument("--mbit", type=float, default=500.0, help="rate of the connection, Mbit/s")
    parser.add_argument("--windows", type=int, default=32, help="windows encoded of a slide, --windows of `train`")
    parser.add_argument("--seconds", type=float, default=0.4, help="a window takes; `encoders check`, --profile")
    a = parser.parse_args()
    download = a.slides * a.gb * 8e3 / a.mbit / 3600
    encode = a.slides * a.windows * a.seconds / 3600
    table = Table("what", "formula", "figure", box=None)
    table.add_row("download", "slides × GB", f"{a.slides * a.gb / 1e3:,.1f} TB")
    table.add_row("time to download", "slides × GB × 8000 / Mbit/s", f"{download:,.0f} h")
    table.add_row("time to encode", "slides × windows × s", f"{encode:,.0f} h")
    table.add_row("both, side by side", "the longer of the two", f"{max(download, encode):,.0f} h")
    table.add_row("disk at a time", f"(2 × {JOBS} + 1) slides × GB", f"{(2 * JOBS + 1) * a.gb:,.0f} GB")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
