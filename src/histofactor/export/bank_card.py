"""The card of a bank that is shared: README.md of its repository, in Markdown."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sized
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2

from histofactor.base.text import counted, finalize
from histofactor.concepts.bank.file import BankFile, bank_bytes, recommended_k
from histofactor.concepts.bank.following import following_of, in_words, ungrouped
from histofactor.concepts.bank.provenance import CHOICE, check_card, residual_limit_of, slides_of, window_of
from histofactor.concepts.bank.record import bank_hash
from histofactor.concepts.bank.summary import summarize
from histofactor.concepts.on_hub import BANK, SCHEME
from histofactor.encoders.terms import Terms, hub_licence
from histofactor.export.tables import hex_color

_PUBLIC = "https://huggingface.co"
_TAGS = ["histofactor", "histology", "pathology", "segmentation", "concept-bank"]
_MARKUP = re.compile(r"([\\`*_\[\]<>#|~$&])")  # what Markdown, or HTML within, would take for markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """What a card tells beside the bank.

    Attributes:
        repository: USER/REPO.
        terms: of its encoder.
        k: the level whose concepts are listed.
        named: whether names of inputs are in the bank.
        permission: why it may be shared where the licence of the encoder does not say so, or "".
    """

    repository: str
    terms: tuple[Terms, ...]
    k: int
    named: bool = False
    permission: str = ""


def bank_card(file: BankFile, sharing: Sharing) -> str:
    """The card of a bank, with the header that the hub reads.

    Args:
        file: as it is sent.
        sharing: what else is told.

    Raises:
        BankError: what the bank tells of itself cannot be read.
    """
    check_card(file.card)
    environment = jinja2.Environment(finalize=finalize, trim_blocks=True, lstrip_blocks=True)  # foreign text: ``md``
    environment.filters |= {"md": _plain, "code": _code, "hex": hex_color, "counted": _counted}
    source = resources.files("histofactor.export").joinpath("bank_card.md.jinja").read_text(encoding="utf-8")
    bank, card, name = file.banks[sharing.k], file.card, sharing.repository.partition("/")[2]
    return environment.from_string(source).render(
        header=_header(sharing.terms),
        title=name,
        name=name,
        address=f"{SCHEME}{sharing.repository}",
        bank=BANK,
        sha256=hashlib.sha256(bank_bytes(file)).hexdigest(),
        terms=sharing.terms,
        permission=sharing.permission,
        encoder=bank.encoder,
        mpp=bank.mpp,
        window=window_of(bank),
        centring=None if bank.centring is None else bank.centring.share,
        card=card,
        slides=slides_of(card),
        groups=card.get("groups") or {},
        named=sharing.named,
        tokens=(card.get("options") or {}).get("tokens"),
        options={key: value for key, value in (card.get("options") or {}).items() if key != "tokens"},
        levels=_levels(file),
        shown=sharing.k,
        concepts=summarize(file, sharing.k),
        following=None if (found := following_of(bank)) is None else in_words(found),
        ungrouped=ungrouped(card),
    )


def _header(terms: tuple[Terms, ...]) -> str:
    """The lines of YAML that a card begins with."""
    from huggingface_hub import ModelCardData

    licence = hub_licence(terms)
    own: dict[str, Any] = {}
    if licence == "other":
        words = "; ".join(dict.fromkeys(one.licence for one in terms))
        own["license_name"] = re.sub("[^a-z0-9.]+", "-", words.lower()).strip("-")
        if pages := [one.repository for one in terms if one.repository]:
            own["license_link"] = f"{_PUBLIC}/{pages[0]}"  # not that of a mirror, whose address is nobody's business
    data = ModelCardData(license=licence, library_name="histofactor", tags=_TAGS, **own)
    return f"---\n{data.to_yaml()}\n---\n"


def _levels(file: BankFile) -> list[dict[str, Any]]:
    """What is told of every K."""
    rows = {row["k"]: row for row in (file.card.get("choice") or {"rows": []})["rows"]}
    recommended = recommended_k(file)
    found = []
    for k, bank in file.banks.items():
        limit = residual_limit_of(bank)
        told = {name: f"{rows[k][name]:.3f}" if k in rows else "" for name in CHOICE}
        above = "" if limit is None else f"{limit:.3f}"
        found.append({"k": k, "recommended": k == recommended, **told, "limit": above, "hash": bank_hash(bank)[:12]})
    return found


def _plain(text: str) -> str:
    """Foreign text as Markdown shows it, on one line: nothing in it is markup."""
    return _MARKUP.sub(r"\\\1", " ".join(str(text).split()))


def _code(text: str) -> str:
    """Foreign text between backquotes, or in a block of code."""
    return " ".join(str(text).replace("`", "'").split())


def _counted(found: Sized, noun: str) -> str:
    return counted(len(found), noun)
