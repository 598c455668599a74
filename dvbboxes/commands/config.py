"""The noun ``config``: the configuration file itself."""

from __future__ import annotations

from dvbboxes.aggregate import ConfigChecked, ConfigShown
from dvbboxes.commands import Context, Result, Verb


def check(context: Context) -> Result:
    """Check the configuration: every mistake at once, each with its file and line (exit status 3)."""
    config = context.config
    return Result(ConfigChecked(config.path, len(config.towns), len(config.instances), len(config.channels)))


def show(context: Context) -> Result:
    """Show what is in force: every setting, its value, and the file and line it comes from, or "default"."""
    config = context.config
    return Result(ConfigShown(config.path, config.settings))


VERBS = (Verb("check", check), Verb("show", show))
