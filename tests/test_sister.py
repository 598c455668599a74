"""The sister tool's forms, written as ours."""

from __future__ import annotations

import pytest

from dvbboxes.sister import noun_position, rewrite

pytestmark = pytest.mark.pure

VERBS = {"program": ("show", "diff"), "cluster": ("status",), "listing": ("check",)}


@pytest.mark.parametrize(
    "typed",
    [
        "program 15062017 --service_id 85",
        "program 15/06",
        "program 2017-06-15",
        "program today",
        "program today..+2",
        "program -1",
        "program -s 85 today",
        "program 99999999",  # the form of a day: that there is no such date is show's to say
        "-c file program today",
        "--debug program today",
    ],
)
def test_a_day_where_a_verb_belongs_means_show(typed: str) -> None:
    words = typed.split()
    position = words.index("program") + 1
    assert rewrite(words, VERBS) == [*words[:position], "show", *words[position:]]


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "program",
        "program show today",
        "program diff today",  # a verb, whatever follows it
        "program -h",
        "program --help today",
        "program shwo today",  # a verb mistyped is to be named as one
        "program -s 85",  # no day: nothing is guessed
        "program lundi",
        "cluster status",
        "cluster today",  # no sister form of that noun
        "prgram today",
        "--version",
        "-c program",
    ],
)
def test_anything_else_is_left_as_it_was(typed: str) -> None:
    assert rewrite(typed.split(), VERBS) == typed.split()


@pytest.mark.parametrize(
    ("typed", "position"),
    [
        ("program show", 0),
        ("-c program cluster status", 2),  # a configuration file called like a noun
        ("--config program cluster status", 2),
        ("--config=program cluster status", 1),
        ("-c x --debug program", 3),
        ("-c program", None),
        ("bogus", None),
    ],
)
def test_the_noun_is_the_first_word_that_is_one_and_no_options_value(typed: str, position: int | None) -> None:
    assert noun_position(typed.split(), VERBS) == position
