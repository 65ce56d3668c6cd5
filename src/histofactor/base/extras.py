"""Extras of the package, and how a part that one of them brings is told to be missing."""

from __future__ import annotations

from importlib import import_module

from histofactor.errors import OptionError

_PACKAGES = {"sklearn": "scikit-learn"}  # by the modules that they bring, where these are called otherwise


def install(extra: str, version: str = "") -> str:
    """The command that installs an extra, of one version of histofactor or of the newest."""
    return f"pip install 'histofactor[{extra}]{version and f'=={version}'}'"


def need(what: str, extra: str, *modules: str) -> None:
    """Import modules that an extra brings.

    Args:
        what: how the message begins, as ``plots need``.
        extra: brings them.
        modules: names of modules.

    Raises:
        OptionError: one of them, or what it needs itself, is not installed.
    """
    missing = []
    for module in modules:
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            name = (error.name or module).partition(".")[0]
            missing.append(_PACKAGES.get(name, name))
    if missing:
        raise OptionError(f"{what} {' and '.join(missing)}", mend=install(extra))
