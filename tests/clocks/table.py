"""The moments under which the suite has to be green: a covering table of times of day, days and zones (pure).

Each time stands in it once at least, and so does each kind of day and each zone: what goes wrong at an hour of the day,
at a border of the calendar or far from Greenwich goes wrong in one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Clock:
    """A moment that the clocks are set to: a local time on a calendar date in a zone.

    ``whole``: the whole of ``make test`` runs there, not only what can depend on the clock.
    """

    time: str
    day: str
    zone: str
    whole: bool = False

    @property
    def moment(self) -> float:
        """The Unix time; of an hour that comes twice, the first."""
        local = datetime.combine(date.fromisoformat(self.day), time.fromisoformat(self.time), ZoneInfo(self.zone))
        return local.timestamp()

    def __str__(self) -> str:
        return f"{date.fromisoformat(self.day):%a} {self.day} {self.time} {self.zone}"


CLOCKS = (
    Clock("00:10", "2027-03-28", "Europe/Paris"),  # two hours before the clocks go forward
    Clock("02:05", "2027-10-31", "Europe/Paris", whole=True),  # an hour that comes twice
    Clock("07:31", "2027-10-31", "Europe/Paris"),  # 25 hours after the day before began
    Clock("23:58:30", "2027-03-27", "Europe/Paris"),  # a Saturday, on the broadcast day of 23 hours
    Clock("06:20", "2027-05-12", "America/New_York"),
    Clock("07:29:40", "2028-02-29", "America/New_York", whole=True),  # a broadcast day ends during the run
    Clock("16:30", "2027-12-31", "Pacific/Auckland"),
    Clock("07:31", "2027-04-10", "Pacific/Auckland"),  # a Saturday; in UTC it is Friday
    Clock("06:20", "2028-02-28", "Pacific/Auckland"),
    Clock("12:40", "2027-06-16", "UTC"),
    Clock("19:40", "2028-02-29", "UTC"),
    Clock("02:05", "2027-12-01", "UTC"),  # the first of a month, whose broadcast day is the last of the one before
    Clock("07:29:40", "2027-07-01", "Indian/Antananarivo"),
    Clock("23:58:30", "2027-12-31", "Indian/Antananarivo", whole=True),  # a year ends during the run
)

TIMES = ("00:10", "02:05", "06:20", "07:29:40", "07:31", "12:40", "16:30", "19:40", "23:58:30")
ZONES = ("UTC", "Indian/Antananarivo", "Pacific/Auckland", "America/New_York", "Europe/Paris")


def kinds_of_day(day: date) -> set[str]:
    """Return what is special about a calendar date, by the names of :data:`KINDS`."""
    paris = ZoneInfo("Europe/Paris")
    midnights = [datetime.combine(day + timedelta(days=n), time(0), paris).timestamp() for n in (0, 1)]
    hours = (midnights[1] - midnights[0]) / 3600
    kinds = {
        "31 December": (day.month, day.day) == (12, 31),
        "clocks forward in Paris": hours == 23,
        "clocks back in Paris": hours == 25,
        "28 February": (day.month, day.day) == (2, 28),
        "29 February": (day.month, day.day) == (2, 29),
        "first of a month": day.day == 1,
        "Saturday": day.weekday() == 5,
    }
    return {kind for kind, holds in kinds.items() if holds} or {"ordinary"}


KINDS = (
    *("ordinary", "31 December", "clocks forward in Paris", "clocks back in Paris", "28 February", "29 February"),
    *("first of a month", "Saturday"),
)
