"""The plan (SPEC 5, 6): verdicts, what would change where, what stands in the way, and the name of all that."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from dvbboxes.model import (
    Config,
    Duration,
    DurationKind,
    Endpoint,
    Entry,
    Instance,
    ListingDay,
    ListingEntry,
    LogSettings,
    RedisSettings,
    ScheduleSettings,
    SshSettings,
    SshTarget,
    Stored,
    Town,
)
from dvbboxes.plan import (
    Action,
    Applied,
    DayFacts,
    Hazard,
    Held,
    Plan,
    Target,
    Verdict,
    build,
    day_facts,
    file_facts,
    owed_changes,
)
from dvbboxes.schedule import moment

pytestmark = pytest.mark.pure

ZONE = ZoneInfo("Indian/Antananarivo")
PARIS = ZoneInfo("Europe/Paris")
DAY = date(2026, 11, 25)
START = moment(DAY, ZONE, time(7, 30))
#: A moment long before the day.
BEFORE = START - 10 * 86400
TO_MIDNIGHT = 16.5 * 3600
SECONDS = {"day": 60000.0, "short": 3600.0, "half": 30000.0, "film": 7200.25}


def measured(seconds: float) -> Duration:
    return Duration(DurationKind.MEASURED, seconds, str(seconds))


ABSENT = Duration(DurationKind.ABSENT)
UNMEASURED = Duration(DurationKind.UNMEASURED, None, "3.14")
CORRUPT = Duration(DurationKind.CORRUPT, None, "nan")


def instance(fqdn: str, town: str = "tana", **more: object) -> Instance:
    settings = {
        "replica": Endpoint(),
        "master": Endpoint(fqdn),
        "ssh": SshTarget(fqdn),
        "zone": ZONE,
        **more,
    }
    return Instance(town, fqdn, **settings)  # type: ignore[arg-type]  # each test gives the fields it means


A, B, C = instance("a"), instance("b"), instance("c", "sud")


def config(*instances: Instance, zone: ZoneInfo = ZONE) -> Config:
    instances = instances or (A, B, C)
    towns = dict.fromkeys(each.cluster for each in instances)
    return Config(
        "configuration",
        LogSettings("log", 20, ""),
        "data",
        {"85": "Ma chaine", "86": "Autre"},
        tuple(Town(town, tuple(each for each in instances if each.cluster == town)) for town in towns),
        RedisSettings(),
        SshSettings(),
        ScheduleSettings(zone),
    )


def listed(*names: str, day: date = DAY) -> ListingDay:
    return ListingDay(day, 1, tuple(ListingEntry(name, line) for line, name in enumerate(names, 2)))


def facts(
    *names: str,
    seconds: Mapping[str, float | None] | None = None,
    day: date = DAY,
    sid: str = "85",
    zone: ZoneInfo = ZONE,
) -> DayFacts:
    """Lay a day out; ``seconds`` None of a file: nobody has it."""
    known = {**SECONDS, **(seconds or {})}
    said = {"a": {f"{n}.ts": ABSENT if known.get(n) is None else measured(known[n] or 0.0) for n in names}}
    return day_facts(listed(*names, day=day), sid, file_facts([f"{n}.ts" for n in names], said), config(zone=zone))


def program(*names: str, day: date = DAY, folder: str = "/opt/tsfiles", zone: ZoneInfo = ZONE) -> Stored:
    """Return what a day of these files is as Redis holds it."""
    start, entries = moment(day, zone, time(7, 30)), []
    for index, name in enumerate(names):
        entries.append(Entry(f"{folder}/{name}.ts:{index}", start))
        start += SECONDS[name]
    return tuple(entries)


NOTHING: Stored = ()


def plan(
    days: Sequence[DayFacts],
    held: Mapping[str, Held | None] | None = None,
    *,
    instances: Sequence[Instance] = (A, B),
    now: float = BEFORE,
    applied: Mapping[tuple[str, tuple[date, str]], Applied] | None = None,
    allow: Collection[Hazard] = (),
    world: Config | None = None,
) -> Plan:
    held = held or {}
    names = {name for each in days for name in each.names}
    files = file_facts(
        sorted(f"{name}.ts" for name in names), {"a": {f"{name}.ts": measured(SECONDS[name]) for name in names}}
    )
    targets = [Target(each, held.get(each.fqdn, Held({}, frozenset())), "why") for each in instances]
    return build(days, files, targets, config=world or config(), now=now, applied=applied or {}, allow=frozenset(allow))


def holds(*names: str, lacking: Collection[str] = (), day: date = DAY, sid: str = "85") -> Held:
    if not names:
        return Held({}, frozenset(lacking))
    held = program(*names, day=day)
    return Held({(day, sid): held}, frozenset(lacking), ends={(day, sid): held[-1].start + SECONDS[names[-1]]})


def actions(made: Plan) -> dict[str, Action]:
    return {change.instance.fqdn: change.action for change in made.changes}


def refused(made: Plan) -> dict[Hazard | None, tuple[str, ...]]:
    return {refusal.hazard: refusal.instances for refusal in made.refusals}


# --- files ------------------------------------------------------------------------------------------------------------


def test_the_largest_measured_duration_counts_and_neither_sentinel_nor_corrupt_values_win() -> None:
    said = {
        "a": {"x.ts": measured(2.0), "y.ts": UNMEASURED, "z.ts": CORRUPT},
        "b": {"x.ts": UNMEASURED, "y.ts": UNMEASURED, "z.ts": measured(5.0)},
        "c": {"x.ts": measured(1.5), "y.ts": ABSENT, "z.ts": ABSENT},
    }
    found = file_facts(["x.ts", "y.ts", "z.ts", "w.ts", "x.ts"], said)
    assert {name: (fact.seconds, fact.measured) for name, fact in found.items()} == {
        "x.ts": (2.0, True),  # smaller than the sentinel, and still the one that was measured
        "y.ts": (3.14, False),
        "z.ts": (5.0, True),
        "w.ts": (0.0, False),
    }
    assert (found["y.ts"].present, found["y.ts"].absent) == (("a", "b"), ("c",))
    assert [name for name, fact in found.items() if fact.missing] == ["w.ts"]


@pytest.mark.parametrize(("apart", "expected"), [(1.2, False), (1.25, True)])
def test_durations_disagree_beyond_the_tolerance(apart: float, expected: bool) -> None:
    said = {"a": {"x.ts": measured(100.0)}, "b": {"x.ts": measured(100.0 + apart)}, "c": {"x.ts": UNMEASURED}}
    assert file_facts(["x.ts"], said)["x.ts"].disagrees(1.2000001) is expected


# --- verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(TO_MIDNIGHT, Verdict.GREEN), (TO_MIDNIGHT - 0.001, Verdict.ORANGE), (TO_MIDNIGHT + 0.001, Verdict.GREEN)],
)
def test_long_enough_is_to_midnight_exactly(seconds: float, verdict: Verdict) -> None:
    assert facts("day", seconds={"day": seconds}).verdict is verdict


@pytest.mark.parametrize(("seconds", "verdict"), [(TO_MIDNIGHT, Verdict.LIGHTBLUE), (TO_MIDNIGHT - 1, Verdict.RED)])
def test_a_missing_file_counts_nothing_and_shows_in_the_verdict(seconds: float, verdict: Verdict) -> None:
    day = facts("gone", "day", "gone", seconds={"day": seconds, "gone": None})
    assert (day.verdict, day.missing, day.end) == (verdict, ("gone.ts",), START + seconds)
    assert (day.lines, day.starts["gone.ts"]) == ({"gone.ts": 2, "day.ts": 3}, START)


def test_past_the_start_of_the_next_day_is_an_overrun() -> None:
    assert facts("day", seconds={"day": 86400.0}).overrun == 0
    assert facts("day", seconds={"day": 86400.5}).overrun == 0.5


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 28), 23), (date(2026, 10, 24), 25)])
def test_when_the_clocks_change_the_day_has_another_length(day: date, hours: int) -> None:
    whole = facts("day", day=day, zone=PARIS, seconds={"day": hours * 3600.0})
    assert (whole.overrun, whole.verdict) == (0.0, Verdict.GREEN)
    assert facts("day", day=day, zone=PARIS, seconds={"day": hours * 3600.0 + 1}).overrun == 1.0


def test_the_midnight_is_that_of_the_zone() -> None:
    """The clocks change at 02:00, after it: the evening before has its usual length."""
    late = date(2026, 10, 24)
    assert facts("day", day=late, zone=PARIS, seconds={"day": TO_MIDNIGHT}).verdict is Verdict.GREEN
    assert facts("day", day=late, zone=PARIS, seconds={"day": TO_MIDNIGHT - 1}).verdict is Verdict.ORANGE


# --- what would change ------------------------------------------------------------------------------------------------


def test_create_replace_and_keep() -> None:
    made = plan([facts("day", "short")], {"a": holds("day", "short"), "b": holds("short")})
    assert actions(made) == {"a": Action.KEEP, "b": Action.REPLACE}
    assert str(made.changes[1].difference) == "+1 -0 ~1"
    assert actions(plan([facts("day")])) == {"a": Action.CREATE, "b": Action.CREATE}
    assert [change.instance.fqdn for change in made.writes] == ["b"]


def test_what_dvbbox_made_of_our_own_write_is_kept() -> None:
    wanted = program("day", "short")
    moved = (wanted[0], Entry("/disk2/short.ts:1", wanted[1].start + 3))
    key = (DAY, "85")
    known = {("a", key): Applied(wanted, moved, False), ("b", key): Applied(wanted, NOTHING, False)}
    held = Held({key: moved}, frozenset())
    made = plan([facts("day", "short")], {"a": held, "b": held}, applied=known)
    assert actions(made) == {"a": Action.KEEP, "b": Action.REPLACE}  # b's is not what the update left there


def test_a_town_s_own_program_is_left_alone_unless_allowed_or_changed_since() -> None:
    key, own = (DAY, "85"), program("day", "film")
    known = {(fqdn, key): Applied(own, None, True) for fqdn in ("a", "b")}
    held = {"a": Held({key: own}, frozenset()), "b": holds("day", "half")}
    made = plan([facts("day")], held, applied=known)
    assert actions(made) == {"a": Action.OWN, "b": Action.REPLACE}
    assert actions(plan([facts("day")], held, applied=known, allow=[Hazard.OWN]))["a"] is Action.REPLACE
    for_all = {("a", key): Applied(own, None, False)}
    assert actions(plan([facts("day")], held, applied=for_all))["a"] is Action.REPLACE


def test_each_instance_is_meant_its_own_folder_zone_and_channels() -> None:
    paris = instance("p", zone=PARIS, media_folder="/srv/ts/", channels=frozenset({"85"}))
    made = plan([facts("day", "short"), facts("day", sid="86")], instances=[A, paris], world=config(A, paris))
    wanted = {(change.instance.fqdn, change.service_id): change.desired for change in made.changes}
    assert set(wanted) == {("a", "85"), ("a", "86"), ("p", "85")}
    assert wanted["p", "85"] == program("day", "short", folder="/srv/ts", zone=PARIS)
    assert wanted["a", "85"] == program("day", "short")


def test_a_program_is_meant_in_the_order_redis_has() -> None:
    """Eleven files of no length start together: Redis then goes by the bytes of the members, not by the index."""
    day = facts(*["gone"] * 11, seconds={"gone": None})
    files = file_facts(["gone.ts"], {"a": {"gone.ts": ABSENT}})
    target = Target(A, Held({}, frozenset()))
    made = build([day], files, [target], config=config(), now=BEFORE, applied={}, allow=())
    indexes = [entry.member.rpartition(":")[2] for entry in made.changes[0].desired]
    assert indexes == ["0", "1", "10", "2", "3", "4", "5", "6", "7", "8", "9"]


def test_what_is_owed_is_what_an_unreachable_master_was_meant() -> None:
    made = plan([facts("day")], {"a": None}, allow=[Hazard.UNREACHABLE])
    assert dict(made.unreachable) == {"a": "why"}
    owed = owed_changes(made, config())
    assert [(change.instance.fqdn, change.desired) for change in owed] == [("a", program("day"))]
    assert owed_changes(plan([facts("day")]), config()) == ()


# --- what stands in the way -------------------------------------------------------------------------------------------

LATER = START + 86400  # the end of the day
TIMES = [
    (LATER, Hazard.PAST),
    (LATER - 1, Hazard.ON_AIR),
    (START, Hazard.ON_AIR),
    (START - 900, Hazard.ON_AIR),
    (START - 901, None),
]


@pytest.mark.parametrize(("now", "hazard"), TIMES)
def test_a_day_past_on_air_or_within_the_cutoff_is_refused(now: float, hazard: Hazard | None) -> None:
    made = plan([facts("day")], now=now)
    assert refused(made) == ({hazard: ("a", "b")} if hazard else {})
    said = [refusal.text for refusal in made.refusals]
    if hazard is Hazard.ON_AIR:
        assert ("the day is on air" in said[0]) is (now >= START)
        assert "before a relaunch" in said[0]


def test_a_day_is_over_when_it_is_over_there() -> None:
    """Paris is two hours behind in winter: at this moment the day is over on a, and on air in Paris."""
    paris = instance("p", zone=PARIS)
    made = plan([facts("day")], instances=[A, paris], now=LATER + 60, world=config(A, paris))
    assert refused(made) == {Hazard.PAST: ("a",), Hazard.ON_AIR: ("p",)}


def test_a_file_missing_on_a_very_target_is_refused_with_its_line() -> None:
    made = plan([facts("day", "film")], {"b": holds(lacking=["film.ts"])})
    assert refused(made) == {Hazard.MISSING: ("b",)}
    assert made.refusals[0].text == "film (line 3) is not there"
    kept = plan([facts("day", "film")], {"b": holds("day", "film", lacking=["film.ts"])})
    assert kept.refusals == ()  # nothing is written there


def test_a_short_day_does_not_replace_a_long_enough_one() -> None:
    made = plan([facts("short")], {"a": holds("day"), "b": holds("half")})
    assert refused(made) == {Hazard.SHORT: ("a",)}
    assert plan([facts("half")], {"b": holds("short")}).refusals == ()
    assert plan([facts("day")], {"b": holds("day", "short")}).refusals == ()  # shorter, but to midnight


def test_how_long_the_one_there_is_counts_its_last_file_though_the_listing_does_not_name_it() -> None:
    there = (*program("half"), Entry("/opt/tsfiles/other.ts:1", START + 50000))
    key = (DAY, "85")
    reaches = Held({key: there}, frozenset(), frozenset(), {key: START + TO_MIDNIGHT})
    falls = Held({key: there}, frozenset(), frozenset(), {key: START + TO_MIDNIGHT - 1})
    assert refused(plan([facts("short")], {"a": reaches, "b": falls})) == {Hazard.SHORT: ("a",)}


def test_an_unreachable_master_refuses_the_channels_it_carries() -> None:
    only_86 = instance("d", channels=frozenset({"86"}))
    days = [facts("day"), facts("day", sid="86")]
    made = plan(days, {"d": None}, instances=[A, only_86], world=config(A, only_86))
    assert [(refusal.hazard, refusal.service_id) for refusal in made.refusals] == [(Hazard.UNREACHABLE, "86")]
    assert made.ready == ((DAY, "85"),)


def test_a_key_that_is_no_program_is_refused_and_nothing_releases_it() -> None:
    odd = Held({(DAY, "85"): ()}, frozenset(), frozenset({(DAY, "85")}))
    made = plan([facts("day")], {"a": odd}, allow=list(Hazard))
    assert refused(made) == {None: ("a",)}


@pytest.mark.parametrize("hazard", [h for h in Hazard if h is not Hazard.OWN])
def test_each_hazard_is_released_by_its_name_alone(hazard: Hazard) -> None:
    cases: dict[Hazard, tuple[dict[str, Held | None], float]] = {
        Hazard.MISSING: ({"a": holds(lacking=["short.ts"])}, BEFORE),
        Hazard.PAST: ({}, LATER),
        Hazard.ON_AIR: ({}, START),
        Hazard.SHORT: ({"a": holds("day")}, BEFORE),
        Hazard.UNREACHABLE: ({"a": None}, BEFORE),
    }
    held, now = cases[hazard]
    assert set(refused(plan([facts("short")], held, now=now))) == {hazard}
    others = [other for other in Hazard if other is not hazard]
    assert set(refused(plan([facts("short")], held, now=now, allow=others))) == {hazard}
    released = plan([facts("short")], held, now=now, allow=[hazard])
    assert released.refusals == ()
    assert {refusal.hazard for refusal in released.released} == {hazard}
    assert released.ready == ((DAY, "85"),)


def test_only_ready_drops_a_refused_day_everywhere() -> None:
    tomorrow = DAY + timedelta(days=1)
    days = [facts("day", "film"), facts("day", day=tomorrow)]
    made = plan(days, {"a": holds(lacking=["film.ts"])})
    ready = made.only_ready()
    assert made.ready == ready.ready == ((tomorrow, "85"),)
    assert [(change.instance.fqdn, change.day) for change in ready.changes] == [("a", tomorrow), ("b", tomorrow)]
    assert ready.refusals == ()


def test_only_ready_forgets_what_was_released_for_a_day_that_is_not_written() -> None:
    """Otherwise a relaunch would be advised for a day that stays as it is."""
    made = plan([facts("day", "film")], {"a": holds(lacking=["film.ts"])}, now=START, allow=[Hazard.ON_AIR])
    assert [refusal.hazard for refusal in made.released] == [Hazard.ON_AIR]
    assert made.only_ready().released == ()


# --- the fingerprint --------------------------------------------------------------------------------------------------


def test_the_fingerprint_changes_with_anything_seen() -> None:
    days = [facts("day", "film"), facts("short", sid="86")]
    odd = Held({(DAY, "85"): ()}, frozenset(), frozenset({(DAY, "85")}))
    shifted = Held({(DAY, "85"): (replace(program("day")[0], start=START + 0.001),)}, frozenset())
    seen = [
        plan(days),
        plan([facts("film", "day"), days[1]]),
        plan(days[:1]),
        plan([days[0], facts("short", sid="86", day=DAY + timedelta(days=1))]),
        plan(days, instances=[A]),
        plan(days, instances=[A, C]),
        plan(days, instances=[B]),
        plan(days, {"a": holds("day")}),
        plan(days, {"a": shifted}),
        plan(days, {"a": holds("day", "film")}),
        plan(days, {"a": holds(lacking=["film.ts"])}),
        plan(days, {"a": None}),
        plan(days, {"a": odd}),
        plan(days, instances=[A, replace(B, media_folder="/srv")]),
    ]
    prints = [each.fingerprint for each in seen]
    assert len(set(prints)) == len(prints)
    assert all(len(each) == 8 and int(each, 16) >= 0 for each in prints)


def test_the_fingerprint_changes_with_nothing_else() -> None:
    days = [facts("day"), facts("short", sid="86")]
    one = plan(days)
    assert plan(days).fingerprint == one.fingerprint
    assert plan(days, instances=[B, A]).fingerprint == one.fingerprint  # --towns in another order
    assert plan(days[::-1]).fingerprint == one.fingerprint
    assert plan(days, now=BEFORE + 3600).fingerprint == one.fingerprint
    assert plan(days, allow=[Hazard.PAST]).fingerprint == one.fingerprint
