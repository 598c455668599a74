"""``python -m dvbboxes``: the same as the command."""

from dvbboxes.main import cli

cli()
