"""``python -m histofactor`` is the command ``histofactor``."""

from __future__ import annotations

from histofactor.cli.entry import main

if __name__ == "__main__":
    main()
