"""``coverage``: how well each channel is scheduled in each town, day by day, and until when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvbboxes.commands import SCOPE, SERVICES, Context, Result, Verb, asked, channels, option
from dvbboxes.errors import DvbboxesError, UsageError

if TYPE_CHECKING:
    from dvbboxes.coverage import Coverage

DAYS = option("--days", default="14", metavar="N", help="how many days, from the broadcast day on air (default: 14)")
OUTPUT = option("--output", metavar="FILE", help="write the picture there too: FILE.svg, or a page, FILE.html")


def coverage(context: Context, days: str, services: Sequence[str] | None, output: str | None, **scope: Any) -> Result:
    """Draw how well each channel is scheduled in each town, day by day, and until when.

    A day is as good as it is on the worst instance of its town. Exit status 1 when a day is scheduled unevenly, short
    or with files missing, or nothing is scheduled on the day on air.
    """
    from dvbboxes.audit.survey import survey
    from dvbboxes.commands.check import whole_days
    from dvbboxes.coverage import coverage as covered
    from dvbboxes.findings import Material

    if output is not None and Path(output).suffix not in (".svg", ".html"):
        raise UsageError(f"--output {output}: name it FILE.svg or FILE.html")
    config = context.config
    sids = channels(config, services)
    keys = tuple((context.today + timedelta(days=n), sid) for n in range(whole_days(days)) for sid in sids)
    whom = asked(context, **scope)
    with whom.fleet() as fleet:
        gathered = survey(fleet, whom.instances, whom.deadline, keys, config.channels)
    view = covered(Material(config, gathered, keys, context.now))
    if output is not None:
        _write(view, Path(output))
        view = view.written_to(output)
    return Result(view, gathered, bool(gathered.answered) and view.wrong)


def _write(view: Coverage, path: Path) -> None:
    from dvbboxes.render.picture import html, svg

    try:
        path.write_text(svg(view) if path.suffix == ".svg" else html(view), "utf-8")
    except OSError as error:
        raise DvbboxesError(f"{path} cannot be written: {error.strerror}") from error


COMMAND = Verb("coverage", coverage, (DAYS, SERVICES, OUTPUT, *SCOPE))
