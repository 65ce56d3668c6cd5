"""What an option is where it is not given, stated in the help of every verb."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperOption


class _Verb(TyperCommand):
    """A verb whose options all state their default: those that do not show one are off, or have none."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        for option in self.params:
            if isinstance(option, TyperOption) and not _shows(option):
                text = (option.help or "").rstrip(".")
                option.help = f"{text}; default: {'no' if option.is_flag else 'none'}."


def _shows(option: TyperOption) -> bool:
    if "default" in (option.help or "").lower() or option.required or option.name == "help":
        return True
    plain = option.is_flag and not option.secondary_opts  # one that only switches on shows nothing
    return bool(option.show_default) and not plain and option.default is not None


def state_defaults(app: typer.Typer) -> None:
    """Let every verb of an app, and of the apps in it, state the default of every option."""
    for verb in app.registered_commands:
        verb.cls = _Verb
    for group in app.registered_groups:
        if group.typer_instance is not None:
            state_defaults(group.typer_instance)
