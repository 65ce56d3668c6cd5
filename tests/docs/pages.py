"""What README and docs show: commands and programs, in the order of a page."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_WRITTEN = (path.relative_to(ROOT) for path in sorted((ROOT / "docs").rglob("*.md")))
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    *(path.as_posix() for path in _WRITTEN if not any(part.startswith("_") for part in path.parts)),  # not generated
)
_BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Shown:
    """A command, or a program of Python, and where it stands."""

    page: str
    line: int
    text: str
    python: bool = False

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text.splitlines()[0]}"

    @property
    def arguments(self) -> list[str]:
        """Of a command, without its name."""
        return shlex.split(self.text)[1:]


def shown_on(page: str) -> list[Shown]:
    """Commands and programs in the blocks of a page; what stands two spaces after a command explains it."""
    text, found = (ROOT / page).read_text(encoding="utf-8"), []
    for block in _BLOCK.finditer(text):
        first = text.count("\n", 0, block.start()) + 2
        if block[1] == "python":
            found.append(Shown(page, first, block[2], python=True))
            continue
        for number, line in enumerate(block[2].splitlines(), first):
            command = re.split(r"\s{2,}|\s#", line.strip())[0]
            if re.match(r"(histofactor|make|pip)\s", command):
                found.append(Shown(page, number, command))
    return found


def inline_on(page: str) -> list[Shown]:
    """Commands named within sentences: ``histofactor …`` or ``make …`` in backquotes."""
    text, found = (ROOT / page).read_text(encoding="utf-8"), []
    sentences = _BLOCK.sub(lambda block: "\n" * block[0].count("\n"), text)
    for span in re.finditer(r"`((?:histofactor|make) [^`]+)`", sentences):
        found.append(Shown(page, sentences.count("\n", 0, span.start()) + 1, " ".join(span[1].split())))
    return found


def options_on(page: str) -> set[str]:
    """All ``--options`` that a page names."""
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", (ROOT / page).read_text(encoding="utf-8")))
