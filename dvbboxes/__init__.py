"""See and steer many dvbbox playout servers from one machine.

The names existing callers use (SPEC 7) are resolved at first use: importing this package needs no configuration and
touches no file and no socket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    import logging
    from collections import OrderedDict
    from configparser import RawConfigParser

    from dvbboxes.api import Listing as Listing
    from dvbboxes.api import Media as Media
    from dvbboxes.api import Program as Program
    from dvbboxes.main import Manager
    from dvbboxes.main import cli as cli

    TOWNS: list[str]
    CLUSTER: OrderedDict[str, list[str]]
    CHANNELS: dict[str, str]
    CONFIG: RawConfigParser
    LOGGER: logging.Logger
    MANAGER: Manager

#: name -> (module, what makes it, whether that is to be called).
_LAZY = {
    "TOWNS": ("dvbboxes.api", "towns", True),
    "CLUSTER": ("dvbboxes.api", "cluster", True),
    "CHANNELS": ("dvbboxes.api", "channels", True),
    "CONFIG": ("dvbboxes.api", "raw_config", True),
    "LOGGER": ("dvbboxes.api", "logger", True),
    "MANAGER": ("dvbboxes.main", "make_manager", True),
    "Listing": ("dvbboxes.api", "Listing", False),
    "Media": ("dvbboxes.api", "Media", False),
    "Program": ("dvbboxes.api", "Program", False),
    "cli": ("dvbboxes.main", "cli", False),
}

__all__ = ["CHANNELS", "CLUSTER", "CONFIG", "LOGGER", "MANAGER", "TOWNS", "Listing", "Media", "Program", "cli"]


def __getattr__(name: str) -> Any:
    """Resolve one of the API's names, once (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, maker, made = _LAZY[name]
    found = getattr(import_module(module), maker)
    value = found() if made else found
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the names of the API and of the package."""
    return sorted({*globals(), *_LAZY})
