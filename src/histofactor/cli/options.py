"""Options that several verbs share, declared once, and how they are read."""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from histofactor.base.text import printable
from histofactor.errors import OptionError

if TYPE_CHECKING:
    from histofactor.encoders.encoder import Inference
    from histofactor.records.urls import Input
    from histofactor.runs.source import Opening, Stated
    from histofactor.slides.inputs import PassedOver

_KEYWORD = inspect.Parameter.KEYWORD_ONLY
_NUMBER = "[0-9]{1,9}"  # more digits count nothing here

INTERRUPTED = "interrupted; what is finished is kept, and the same command goes on from there"


def named_input(text: str) -> Any:
    """An input as it is named on the command line: a path, or a URL, which no path may be made of."""
    from histofactor.records.urls import as_input

    return as_input(text)


InputsArgument = Annotated[
    list[Any] | None,  # ``Input``
    typer.Argument(
        metavar="INPUT...",
        parser=named_input,
        help="Slides, images, folders with all below them, globs, or URLs of such.",
    ),
]
KOption = Annotated[int | None, typer.Option("-k", help="Number of concepts; default: the recommended one.")]
MethodOption = Annotated[str, typer.Option(help="project, cluster, raw, factorize or single.")]
TissueOption = Annotated[bool, typer.Option(help="Find tissue first; else everything counts as tissue.")]
TissueMaskOption = Annotated[
    Path | None, typer.Option(help="Image of the tissue (> 0), or a folder of such images named like the inputs.")
]
MinAreaOption = Annotated[
    float | None,
    typer.Option(
        metavar="µm²", help="Merge pieces below this area into what surrounds them; default 0: all pieces stay."
    ),
]
TableOption = Annotated[
    Path | None,
    typer.Option(
        help="CSV with columns path (relative to it), mpp, group and mask, or some of them: of INPUT..., or instead of "
        "them; default: none."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderChoice:
    """Which encoder, and how it is run, as the options of a verb say it."""

    encoder: Annotated[str, typer.Option(help="Encoder; see `histofactor encoders list`.")] = "embedded"
    weights: Annotated[
        Path | None,
        typer.Option(help="Local weights file of the encoder; default: those it ships with, or of the hub."),
    ] = None
    layer: Annotated[
        str | None, typer.Option(help="Layer of the encoder, e.g. blocks[-2] or layer2; default as for the concepts.")
    ] = None
    transform: Annotated[
        str | None,
        typer.Option(help="split-root, root, split, shift, or relu as in the paper; default as for the concepts."),
    ] = None
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto"
    precision: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16; default by device.")] = None
    compiled: Annotated[bool, typer.Option("--compile", help="Let torch.compile work on the encoder.")] = False
    repair_tokens: Annotated[
        bool, typer.Option("--repair-tokens", "--mend", help="Replace tokens whose norm stands out.")
    ] = False
    remote_code: Annotated[
        str | None, typer.Option(metavar="COMMIT", help="Run the code of the encoder's repository at this commit.")
    ] = None
    window: Annotated[
        int | None,
        typer.Option(
            metavar="PX", help="Side of the encoder's windows, a multiple of its patch; default as for the concepts."
        ),
    ] = None
    fast: Annotated[bool, typer.Option("--fast", help="Encode every window once; default: in four views.")] = False
    mpp: Annotated[float | None, typer.Option(help="µm/px to work at; default the encoder's own.")] = None
    source_mpp: Annotated[
        float | None, typer.Option(help="µm/px of inputs whose header lacks it, or is wrong; default: the header's.")
    ] = None

    series: Annotated[
        str | None, typer.Option(metavar="NAME|N", help="Image of files that hold several; default the largest.")
    ] = None
    max_image_gb: Annotated[float, typer.Option(help="GB of memory that a plain image may take.")] = 2.0
    cache: Annotated[
        Path | None, typer.Option(help="Folder that inputs of stores are fetched to; default a temporary one.")
    ] = None
    cache_gb: Annotated[float, typer.Option(help="GB that they take there at most, for each process.")] = 16.0

    @property
    def views(self) -> int:
        """How often every window is encoded."""
        return 1 if self.fast else 4

    def inference(self) -> Inference:
        """Number format and the like."""
        from histofactor.encoders.encoder import Inference

        return Inference(
            precision=self.precision,
            compiled=self.compiled,
            repair_tokens=self.repair_tokens,
            remote_code=self.remote_code,
            window_px=self.window,
        )

    def opening(self) -> Opening:
        """How inputs are opened."""
        from histofactor.runs.source import Opening

        series = int(self.series) if self.series is not None and re.fullmatch(_NUMBER, self.series) else self.series
        return Opening(
            source_mpp=self.source_mpp,
            series=series,
            max_image_gb=self.max_image_gb,
            cache=None if self.cache is None else str(self.cache.absolute()),
            cache_gb=self.cache_gb,
        )

    def given(self) -> dict[str, Any]:
        """What ``SegmentOptions`` takes of it."""
        chosen = {name: getattr(self, name) for name in ("weights", "layer", "device", "transform", "views")}
        return {**chosen, "inference": self.inference()}

    def check(self) -> None:
        """Check the µm/px and the budget.

        Raises:
            OptionError, ResolutionError: one is not plausible.
        """
        from histofactor.slides.budget import check_limit
        from histofactor.slides.resolution import check_mpp

        for mpp, name in ((self.mpp, "--mpp"), (self.source_mpp, "--source-mpp")):
            if mpp is not None:
                check_mpp(mpp, name)
        check_limit(self.max_image_gb)
        if not 0 < self.cache_gb < math.inf:
            raise OptionError("--cache-gb is out of range", expected="more than 0", got=f"{self.cache_gb:g}")


def taking(record: Any, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator that lets a verb which takes a keyword of a record's type take the options of the record instead.

    Args:
        record: a dataclass whose fields are options.
        name: of the keyword.
    """
    hints = get_type_hints(record, include_extras=True)
    options = [
        inspect.Parameter(field.name, _KEYWORD, default=field.default, annotation=hints[field.name])
        for field in fields(record)
    ]

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        of_verb = [
            parameter
            for parameter in inspect.signature(verb, eval_str=True).parameters.values()
            if parameter.name != name
        ]
        required = [parameter for parameter in of_verb if parameter.default is inspect.Parameter.empty]
        others = [parameter for parameter in of_verb if parameter.default is not inspect.Parameter.empty]
        parameters = [parameter.replace(kind=_KEYWORD) for parameter in (*required, *options, *others)]

        @functools.wraps(verb)
        def called(**given: Any) -> None:
            verb(**{parameter.name: given.pop(parameter.name) for parameter in of_verb}, **{name: record(**given)})

        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        del called.__wrapped__
        return called

    return decorate


encoder_options = taking(EncoderChoice, "choice")


def numbers(text: str, option: str) -> list[int]:
    """Positive whole numbers of up to nine digits, each once, separated by commas.

    Raises:
        OptionError: the text is something else.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(_NUMBER, part) and int(part) for part in parts):
        raise OptionError(f"{option} is not a list of numbers", expected="for example 8,16,32", got=shortened(text))
    found = [int(part) for part in parts]
    if len({*found}) < len(found):
        raise OptionError(f"{option} names a number twice", expected="every number once", got=shortened(text))
    return found


def labels_and_name(text: str, option: str, example: str) -> tuple[tuple[int, ...], str]:
    """Labels and name of ``1+4=name``.

    Raises:
        OptionError: the text is something else.
    """
    left, _, name = text.partition("=")
    labels = [part.strip() for part in left.split("+")]
    if not name.strip() or not all(re.fullmatch(_NUMBER, label) for label in labels):
        raise OptionError(f"{option} cannot be read", expected=f"for example {example}", got=shortened(text))
    return tuple(map(int, labels)), name.strip()


def names_by_label(texts: Sequence[str], option: str, what: str) -> dict[int, str]:
    """Names by label of texts such as ``3=stroma``, each for one label, once.

    Args:
        texts: as they were given.
        option: what they were given by.
        what: the rule, as the message tells it.

    Raises:
        OptionError: a text is something else, or for several labels, or for one that had its name.
    """
    found: dict[int, str] = {}
    for text in texts:
        labels, name = labels_and_name(text, option, "3=stroma")
        if len(labels) > 1 or labels[0] in found:
            raise OptionError(what, expected="for example 3=stroma", got=text)
        found[labels[0]] = name
    return found


def shortened(text: str) -> str:
    """An argument as a message tells it."""
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text):,} characters)"


def say(text: str, *, err: bool = False) -> None:
    """Print a line that may hold names of files, concepts or projects; the terminal obeys nothing in it."""
    typer.echo(printable(text), err=err)


def tell_groups(groups: Mapping[Input, Sequence[Path]], passed: PassedOver | None = None) -> list[Input]:
    """The slides of ``group_inputs``; which files are no inputs of their own is told on stderr."""
    from histofactor.slides.inputs import grouping_notes

    over = passed.note() if passed is not None else ""
    for note in [*grouping_notes(groups), *([f"passed over: {over}"] if over else [])]:
        say(f"note: {note}", err=True)
    return list(groups)


def inputs_of(
    named: Sequence[Input] | None, table: Path | None, group: str | None = None
) -> tuple[list[Input], dict[Input, Stated]]:
    """The inputs that a verb works on, and what a table says of them; what is passed over is told on stderr.

    Args:
        named: files, folders and globs, or none.
        table: see ``runs.table.read_table``; without ``named`` its rows are the inputs.
        group: its column of groups.

    Raises:
        OptionError: nothing is named.
        HistofactorError: as ``group_inputs`` and ``read_table``.
    """
    from histofactor.records.urls import Url
    from histofactor.runs.table import read_table
    from histofactor.slides.inputs import PassedOver, folder_note, group_inputs

    if not named and table is None:
        raise OptionError("there is nothing to work on", expected="INPUT..., or a table of inputs", got="neither")
    passed = PassedOver()
    paths = tell_groups(group_inputs(named or [], passed), passed)
    if any(isinstance(path, Url) or path.is_dir() for path in named or []) and (note := folder_note(paths)):
        say(f"note: {note}", err=True)
    known = (
        {} if table is None else read_table(table, paths, group, lambda sentence: say(f"note: {sentence}", err=True))
    )
    return paths or list(known), known
