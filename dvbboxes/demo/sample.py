"""What the demo plays when nothing else is given: two channels, a week around today. Fictional, and always the same.

Durations are seconds, with the fractions a real measurement has. Each day begins at 07:30 and ends between midnight and
07:30 (SPEC 5: green).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

CHANNELS = {"85": "Ma chaine", "86": "Deuxième chaîne"}
DAYS_AROUND = 3
#: Seconds a day's grid is filled up to: 01:15 at the earliest, and one more night item ends before 03:00.
_LENGTH = 17.75 * 3600


@dataclass(frozen=True, slots=True)
class Content:
    """What a fleet is loaded with: channel names, the media of each (day, service id), and durations in seconds.

    Media are named without ``.ts``; one that has no duration is on no instance.
    """

    channels: Mapping[str, str]
    programs: Mapping[tuple[date, str], tuple[str, ...]]
    durations: Mapping[str, float]

    @property
    def days(self) -> tuple[date, ...]:
        """Every day that has a program, in order."""
        return tuple(sorted({day for day, _ in self.programs}))


_POOLS: dict[str, dict[str, float]] = {
    "morning": {
        "maraina_tsara_1": 2703.48,
        "maraina_tsara_2": 2688.12,
        "maraina_tsara_3": 2711.04,
        "le_petit_dejeuner_des_hauts_plateaux": 2645.76,
    },
    "cartoon": {
        "les_aventures_de_tiana_01": 1322.4,
        "les_aventures_de_tiana_02": 1319.84,
        "les_aventures_de_tiana_03": 1325.16,
        "les_aventures_de_tiana_04": 1321.92,
        "zaza_le_maki_01": 682.08,
        "zaza_le_maki_02": 679.56,
        "zaza_le_maki_03": 684.2,
        "zaza_le_maki_04": 680.64,
        "petit_baobab_et_ses_amis_01": 1510.36,
        "petit_baobab_et_ses_amis_02": 1508.92,
    },
    "soap": {
        "coeurs_de_vanille_112": 2587.28,
        "coeurs_de_vanille_113": 2591.64,
        "coeurs_de_vanille_114": 2579.0,
        "coeurs_de_vanille_115": 2602.52,
        "coeurs_de_vanille_116": 2584.72,
        "coeurs_de_vanille_117": 2595.88,
        "la_maison_du_port_41": 2466.2,
        "la_maison_du_port_42": 2471.96,
        "la_maison_du_port_43": 2459.44,
        "la_maison_du_port_44": 2468.08,
    },
    "kitchen": {
        "sakafo_an_trano_romazava": 1561.16,
        "sakafo_an_trano_ravitoto": 1548.6,
        "sakafo_an_trano_mofo_gasy": 1572.84,
        "cuisine_du_marche_le_zebu": 1604.32,
    },
    "documentary": {
        "les_gardiens_de_l_isalo": 3125.44,
        "baobabs_la_route_des_geants": 3098.72,
        "le_train_de_la_cote_est": 3142.08,
        "lemuriens_une_ile_a_part": 3110.6,
        "les_tisserandes_d_ambositra": 3071.36,
        "pirates_de_sainte_marie": 3133.92,
        "le_canal_des_pangalanes": 3089.8,
        "tsingy_foret_de_pierre": 3117.28,
    },
    "clips": {
        "clips_gasy_vol_01": 1812.56,
        "clips_gasy_vol_02": 1798.4,
        "clips_gasy_vol_03": 1805.72,
        "clips_gasy_vol_04": 1821.2,
        "clips_tropical_01": 1743.64,
        "clips_tropical_02": 1760.96,
    },
    "noon_news": {
        "jt_midi_lundi": 1502.24,
        "jt_midi_mardi": 1488.76,
        "jt_midi_mercredi": 1517.88,
        "jt_midi_jeudi": 1495.0,
        "jt_midi_vendredi": 1520.52,
        "jt_midi_samedi": 1203.32,
        "jt_midi_dimanche": 1197.48,
    },
    "evening_news": {
        "vaovao_hariva_alatsinainy": 1836.12,
        "vaovao_hariva_talata": 1829.4,
        "vaovao_hariva_alarobia": 1841.68,
        "vaovao_hariva_alakamisy": 1818.04,
        "vaovao_hariva_zoma": 1850.96,
        "vaovao_hariva_asabotsy": 1512.8,
        "vaovao_hariva_alahady": 1506.28,
    },
    "weather": {"meteo_soir": 243.52, "meteo_cyclones": 301.16},
    "series": {
        "brigade_de_nuit_s02e01": 2612.88,
        "brigade_de_nuit_s02e02": 2598.36,
        "brigade_de_nuit_s02e03": 2621.4,
        "brigade_de_nuit_s02e04": 2605.12,
        "docteur_rasoa_07": 2480.04,
        "docteur_rasoa_08": 2492.6,
        "docteur_rasoa_09": 2475.92,
        "docteur_rasoa_10": 2488.24,
    },
    "film": {
        "le_dernier_pousse_pousse": 5723.08,
        "une_nuit_a_diego": 5400.12,
        "les_amants_de_fianarantsoa": 6182.64,
        "operation_girofle": 5518.32,
        "le_secret_du_vieux_phare": 5889.76,
        "ilay_dia_lavitra": 5671.2,
        "mon_oncle_de_majunga": 5342.48,
        "la_vallee_des_saphirs": 6034.0,
    },
    "magazine": {
        "terre_et_mer": 3122.2,
        "sport_dimanche": 3304.84,
        "parlons_franchement": 4503.68,
        "jejy_sy_valiha_concert": 3650.56,
        "hira_gasy_en_scene": 3588.92,
        "rugby_makis_le_resume": 2712.36,
    },
}

_GRIDS = {
    "85": (
        "morning cartoon cartoon soap kitchen documentary clips noon_news series film cartoon cartoon magazine soap "
        "clips evening_news weather series film magazine documentary"
    ),
    "86": (
        "clips cartoon kitchen film documentary soap noon_news magazine series cartoon cartoon film clips soap "
        "evening_news weather film series magazine"
    ),
}
_NIGHT = ("clips", "documentary", "series")


def durations() -> dict[str, float]:
    """Return name (without ``.ts``) -> seconds of every file of the sample."""
    return {name: seconds for pool in _POOLS.values() for name, seconds in pool.items()}


def content(today: date) -> Content:
    """Return the sample: three days before ``today`` to three days after it, on both channels."""
    days = [today + timedelta(days=n) for n in range(-DAYS_AROUND, DAYS_AROUND + 1)]
    return Content(CHANNELS, {(day, sid): day_names(day, sid) for day in days for sid in CHANNELS}, durations())


def day_names(day: date, service_id: str) -> tuple[str, ...]:
    """Return the media of one channel's day, in order: its grid, then night items until it is long enough."""
    draw = _Draw(day, int(service_id))
    names = [draw.next(kind) for kind in _GRIDS[service_id].split()]
    length = sum(map(draw.seconds, names))
    turn = 0
    while length < _LENGTH:
        names.append(draw.next(_NIGHT[turn % len(_NIGHT)]))
        length += draw.seconds(names[-1])
        turn += 1
    return tuple(names)


class _Draw:
    """Takes files out of the pools in turn, beginning at another place each day and on each channel."""

    def __init__(self, day: date, seed: int) -> None:
        self._day = day
        self._seed = seed
        self._taken: dict[str, int] = {}
        self.seconds = durations().__getitem__

    def next(self, kind: str) -> str:
        pool = list(_POOLS[kind])
        if kind.endswith("_news"):
            return pool[self._day.weekday()]  # the news of a Monday is Monday's
        taken = self._taken.get(kind, 0)
        self._taken[kind] = taken + 1
        return pool[(self._day.toordinal() * 3 + self._seed * 2 + taken) % len(pool)]
