"""Replies that many instances give alike: recognised from their bytes, and never taken for another."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, TypeAlias

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvbboxes.demo.world import World
from dvbboxes.fleet import Fleet
from dvbboxes.store import Alike, ReplyError, _measures, _primed, _Recogniser
from dvbboxes.wire import ProgramDecoder, Request, decode_program

Reply: TypeAlias = bytes | int | list[Any] | str | None


def raw(reply: Reply) -> bytes:
    """Return a reply as Redis writes it; a str is a status or, with a dash in front, an error."""
    match reply:
        case None:
            return b"$-1\r\n"
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(reply), reply)
        case int():
            return b":%d\r\n" % reply
        case str():
            return (reply if reply.startswith("-") else f"+{reply}").encode() + b"\r\n"
        case list():
            return b"*%d\r\n" % len(reply) + b"".join(map(raw, reply))


replies = st.recursive(
    st.none()
    | st.integers(-5, 10**12)
    | st.sampled_from(["OK", "QUEUED", "-ERR no", "-WRONGTYPE Operation"])
    | st.binary(max_size=40)
    | st.sampled_from([b"x" * 1009, b"x" * 1500, b"\r\n", b"$3\r\nabc\r\n", b""]),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=12,
)


def request(count: int) -> Request:
    return Request(tuple((0, ("ECHO", n)) for n in range(count)), alike=True)


def parsed(stream: bytes) -> list[Any]:
    reader = hiredis.Reader(replyError=ReplyError, notEnoughData=...)
    reader.feed(stream)
    found = []
    while (reply := reader.gets()) is not ...:
        found.append(reply)
    return found


def same(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, ReplyError):
        return isinstance(other, ReplyError) and str(one) == str(other)
    return type(one) is type(other) and bool(one == other)


def heard(plan: Any, pieces: Sequence[bytes]) -> list[Any]:
    found: list[Any] = []
    recogniser = _Recogniser(plan, found)
    for piece in pieces:
        recogniser.feed(piece)
    return found


@given(st.lists(st.lists(replies, min_size=3, max_size=3), min_size=2, max_size=5), st.data())
@settings(max_examples=100, deadline=None)
def test_wherever_the_streams_are_cut_they_say_what_a_parser_says(
    instances: list[list[Reply]], data: st.DataObject
) -> None:
    plan = Alike().of((request(3),))
    for said in instances:
        stream = b"+OK\r\n" + b"".join(map(raw, said))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
        pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) if b > a]
        found = heard(plan, pieces)
        assert same(found, parsed(stream))


short = st.recursive(st.none() | st.integers(-1, 20) | st.binary(max_size=3), lambda inner: st.lists(inner, max_size=2))


@given(st.lists(short, min_size=2, max_size=2), st.lists(short, min_size=2, max_size=2))
@settings(max_examples=50, deadline=None)
def test_a_stream_cut_at_every_byte(first: list[Reply], second: list[Reply]) -> None:
    for said in (first, second, [first[0], second[1]]):
        stream = b"+OK\r\n" + b"".join(map(raw, said))
        plan = Alike().of((request(2),))
        heard(plan, [b"+OK\r\n" + b"".join(map(raw, first))])
        for cut in range(1, len(stream)):
            assert same(heard(plan, [stream[:cut], stream[cut:]]), parsed(stream))


def test_a_long_reply_in_many_pieces_is_read_as_a_stream_and_so_is_what_follows() -> None:
    plan = Alike().of((request(3),))
    stream = b"+OK\r\n" + raw(b"first") + raw([b"x" * 100] * 5000) + raw(b"last")
    pieces = [stream[n : n + 65536] for n in range(0, len(stream), 65536)]
    for _ in range(2):
        assert same(heard(plan, pieces), parsed(stream))


def test_byte_by_byte() -> None:
    plan = Alike().of((request(2),))
    stream = b"+OK\r\n" + raw([b"a" * 1500, b"1.5"]) + raw([b"a", None, 3])
    for _ in range(2):
        assert same(heard(plan, [bytes([byte]) for byte in stream]), parsed(stream))


def test_equal_replies_are_one_object_and_others_are_not() -> None:
    plan = Alike().of((request(2),))
    one, other = raw([b"film_a", b"1"]), raw([b"film_b", b"1"])
    first = heard(plan, [b"+OK\r\n" + one + one])
    second = heard(plan, [b"+OK\r\n" + one + other])
    third = heard(plan, [b"+OK\r\n" + other + other])
    assert first[1] is second[1] and second[2] is third[2]
    assert first[2] is not second[2] and third[1] is not first[1]
    assert (second[1], second[2], third[1]) == ([b"film_a", b"1"], [b"film_b", b"1"], [b"film_b", b"1"])


def test_one_reply_too_many_is_seen() -> None:
    plan = Alike().of((request(1),))
    assert len(heard(plan, [b"+OK\r\n:1\r\n:2\r\n"])) == 3
    assert len(heard(plan, [b"+OK\r\n:1\r\n", b":"])) == 3


def test_what_is_not_said_to_be_alike_and_what_never_is_are_parsed_each_time() -> None:
    assert Alike().of((Request(((0, ("GET", "a")),)),)) == ()
    plan = Alike().of((Request(((0, ("KEYS", "*")), (0, ("GET", "a"))), alike=True),))
    assert [each is not None for each in plan] == [False, False, True]


@pytest.mark.parametrize("length", [0, 1, 3, 1003, 1004, 1005, 1023, 1024, 1025, 5000])
def test_hiredis_tells_where_a_reply_ends(length: int) -> None:
    assert _measures()
    for reply in (raw(b"x" * length), raw([b"x" * length, 1]), raw([])):
        reader = _primed()
        reader.feed(reply + b"+P")
        reader.gets()
        assert reader.len() == 2


def test_a_real_fleet_gives_equal_replies_as_one_object(fleet: World) -> None:
    fleet.load({fqdn: [(0, ("RPUSH", "list", *range(500)))] for fqdn in fleet.layout.fqdns})
    fleet.load({"town2-2": [(0, ("RPUSH", "list", "more"))]})
    instances = fleet.config().instances
    with Fleet() as asked:
        found = asked.ask(instances, Request(((0, ("LRANGE", "list", 0, -1)),), alike=True), 20.0)
        values = [value[0] for value in found.values().values()]
        assert len(values) == 4
        assert values[0] is values[1] is values[2]
        assert values[3] == [*values[0], b"more"]
        again = asked.ask(instances, Request(((0, ("LLEN", "list")),)), 20.0)
        assert [value[0] for value in again.values().values()] == [500, 500, 500, 501]


members = st.one_of(
    st.builds(
        lambda name, n: f"/opt/tsfiles/{name}.ts:{n}".encode(), st.sampled_from(["film_a", "jt"]), st.integers(0, 70)
    ),
    st.sampled_from(
        [
            b"no index",
            b"/a/b.ts:01",
            b"b.ts:3",
            b"/a/\xff.ts:4",
            b"/a/b\n.ts:5",
            b"/a/b.ts:5\n",
            b"/a/:6",
            b"/a/b.ts:9999999999",
            b":7",
            b"",
        ]
    ),
)
scores = st.one_of(
    st.floats(1.7e9, 1.7e9 + 80000).map(lambda s: repr(s).encode()), st.sampled_from([b"nan", b"x", b"0", b"inf"])
)


@given(st.lists(st.lists(st.tuples(members, scores), max_size=5), min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_the_decoder_of_many_says_what_the_decoder_of_one_says(said: list[list[tuple[bytes, bytes]]]) -> None:
    day = date(2023, 11, 15)
    decode = ProgramDecoder(day, "85", {})
    for entries in said:
        reply = [part for entry in entries for part in entry]
        assert decode(reply) == decode_program(day, "85", reply)
    assert decode(ReplyError("WRONGTYPE")).corrupt == decode_program(day, "85", ReplyError("WRONGTYPE")).corrupt


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_program_in_one_folder_is_decoded_alike_and_so_is_one_with_a_single_odd_entry(data: st.DataObject) -> None:
    day = date(2023, 11, 15)
    folder = data.draw(st.sampled_from([b"/opt/tsfiles/", b"/", b"/a:0/", b"a/", b"", b"//"]))
    names = data.draw(st.lists(st.sampled_from([b"film.ts", b"a:b.ts", b"x", b"o d d"]), min_size=1, max_size=6))
    entries = [folder + name + b":%d" % n for n, name in enumerate(names)]
    if data.draw(st.booleans()):
        n = data.draw(st.integers(0, len(entries) - 1))
        below = st.sampled_from([b"sub/film.ts:%d", b"/film.ts:%d", b"sub/:%d"]).map(lambda name: folder + name % n)
        entries[n] = data.draw(members | below)
    reply = [part for n, entry in enumerate(entries) for part in (entry, b"%d.5" % (1_700_000_000 + 60 * n))]
    decoded = ProgramDecoder(day, "85", {})(reply)
    assert decoded == decode_program(day, "85", reply)
    assert all(type(slot.index) is int for slot in decoded.slots)
