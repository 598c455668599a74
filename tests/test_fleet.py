"""The fleet on real replicas: every fault is named once, costs at most the deadline, and changes nobody's answer."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeAlias

import peers
import pytest
import waits
from waiting import eventually

from dvbboxes import fleet as fleet_module
from dvbboxes.aggregate import Holding
from dvbboxes.commands import Asked, gather
from dvbboxes.demo.servers import Servers, Wanted, launch, tell
from dvbboxes.demo.world import World
from dvbboxes.fleet import RENDEZVOUS, Fleet, Side, Talk, TalkWith, assess
from dvbboxes.model import Answer, Endpoint, Failure, FailureKind, Gathered, Instance, State
from dvbboxes.questions import hold
from dvbboxes.store import Link, ReplyError
from dvbboxes.wire import PROGRAMS, Request, program_key, program_request

DAY = date(2026, 11, 24)
#: A deadline that is waited for: some fifty times of what an answer takes; and by how much the last wait may pass it.
SHORT, ROUNDED = 1.0, 0.01
LONG = 20.0
FAULTY = "town1-2"
Stack: TypeAlias = contextlib.ExitStack
#: Makes one fault: returns where the faulty instance's replica is then to be found.
Fault: TypeAlias = Callable[[World, Servers, Stack], Endpoint]


def start(hour: int) -> float:
    return datetime(2026, 11, 24, hour, tzinfo=UTC).timestamp()


def commands() -> list[tuple[int, tuple[Any, ...]]]:
    entries = [(start(8), "/opt/tsfiles/film_a.ts:0"), (start(10), "/opt/tsfiles/jt.ts:1")]
    flat = [part for entry in entries for part in entry]
    return [(0, ("ZADD", program_key(DAY, "85"), *flat)), (1, ("MSET", "film_a.ts", "7200.5", "jt.ts", "1800"))]


@pytest.fixture
def world(fleet: World) -> World:
    """The small fleet, one program and its two files on every instance."""
    fleet.load({fqdn: commands() for fqdn in fleet.layout.fqdns})
    return fleet


@pytest.fixture(scope="session")
def odd(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Single servers that are to be something else than a healthy replica."""
    wanted = [
        Wanted("locked", None, ("requirepass sesame_secret",)),
        Wanted("socket", None, ("unixsocket redis.sock",)),
        Wanted("loading", None, ("loading-process-events-interval-bytes 1024",)),
        Wanted("plain"),
        Wanted("refusing", None, ("replica-serve-stale-data no",)),
    ]
    with launch(tmp_path_factory.mktemp("odd") / "servers", wanted) as running:
        yield running


def ask(world: World, instances: Sequence[Instance], deadline: float, **options: Any) -> Gathered[Holding]:
    """Ask what ``program show`` asks: two round trips with a rendezvous between them."""
    return gather(Asked(tuple(instances), deadline, options.get("max_age")), hold, [(DAY, "85")])


def at(instance: Instance, endpoint: Endpoint) -> Instance:
    return replace(instance, replica=endpoint)


def with_fault(world: World, endpoint: Endpoint) -> tuple[Instance, ...]:
    return tuple(at(one, endpoint) if one.fqdn == FAULTY else one for one in world.config().instances)


def the(gathered: Gathered[Any], fqdn: str) -> Answer[Any]:
    return next(answer for answer in gathered.answers if answer.instance.fqdn == fqdn)


def failed(answer: Answer[Any]) -> Failure:
    assert answer.error is not None
    return answer.error


# --- the faults -------------------------------------------------------------------------------------------------------


def behaving(behaviour: peers.Behaviour) -> Fault:
    return lambda world, odd, stack: stack.enter_context(peers.Peer(behaviour)).endpoint


def spoiled(**how: Any) -> Fault:
    def fault(world: World, odd: Servers, stack: Stack) -> Endpoint:
        return stack.enter_context(peers.Peer(peers.proxy(world.replica(FAULTY).endpoint, **how))).endpoint

    return fault


def refused(world: World, odd: Servers, stack: Stack) -> Endpoint:
    return stack.enter_context(peers.nobody())


def frozen(world: World, odd: Servers, stack: Stack) -> Endpoint:
    world.freeze(world.replica(FAULTY))
    return world.replica(FAULTY).endpoint


def hanging(world: World, odd: Servers, stack: Stack) -> Endpoint:
    return stack.enter_context(peers.full_backlog())


def really_loading(world: World, odd: Servers, stack: Stack) -> Endpoint:
    """A real replica that is at its first sync with a master of some size."""
    endpoint = odd["loading"].endpoint
    # Between two keys of this size it looks at its connections; it rests 20 ms at each.
    values = [part for n in range(100) for part in (f"f{n}.ts", os.urandom(1500))]
    tell(world.master(FAULTY).endpoint, [(1, ("MSET", *values))])
    tell(endpoint, [(0, ("CONFIG", "SET", "key-load-delay", 20_000))])
    tell(endpoint, [(0, ("REPLICAOF", "127.0.0.1", world.master(FAULTY).port))])

    def loads() -> bool:
        return b"\nloading:1" in tell(endpoint, [(0, ("INFO", "persistence"))])[0]

    def end() -> None:
        tell(endpoint, [(0, ("CONFIG", "SET", "key-load-delay", 0))])
        assert eventually(lambda: not loads(), pause=0.002)
        tell(endpoint, [(0, ("REPLICAOF", "NO", "ONE"))])

    stack.callback(end)
    assert eventually(loads, pause=0.002)
    return endpoint


def locked(world: World, odd: Servers, stack: Stack) -> Endpoint:
    return odd["locked"].endpoint


def masterdown(world: World, odd: Servers, stack: Stack) -> Endpoint:
    endpoint, nobody = odd["refusing"].endpoint, stack.enter_context(peers.nobody())
    tell(endpoint, [*commands(), (0, ("REPLICAOF", "127.0.0.1", nobody.port))])
    stack.callback(tell, endpoint, [(0, ("REPLICAOF", "NO", "ONE")), (0, ("FLUSHALL",))])
    return endpoint


def never_synced(world: World, odd: Servers, stack: Stack) -> Endpoint:
    endpoint, nobody = odd["plain"].endpoint, stack.enter_context(peers.nobody())
    tell(endpoint, [(0, ("FLUSHALL",)), (0, ("REPLICAOF", "127.0.0.1", nobody.port))])
    stack.callback(tell, endpoint, [(0, ("REPLICAOF", "NO", "ONE"))])
    return endpoint


def empty_master(world: World, odd: Servers, stack: Stack) -> Endpoint:
    tell(odd["plain"].endpoint, [(0, ("REPLICAOF", "NO", "ONE")), (0, ("FLUSHALL",))])
    return odd["plain"].endpoint


def wiped_master(world: World, odd: Servers, stack: Stack) -> Endpoint:
    world.load({FAULTY: [(0, ("FLUSHALL",))]})
    return world.replica(FAULTY).endpoint


@dataclass(frozen=True)
class Case:
    """One fault: what it is to be called, what it says, and whether the deadline is waited for."""

    fault: Fault
    kind: FailureKind
    says: str
    waits: bool = False
    state: State = State.UNAVAILABLE


LOADING = b"-LOADING Redis is loading the dataset in memory"
CASES = {
    "refused": Case(refused, FailureKind.REFUSED, "refused the connection (is redis-server@town1-2 running?)"),
    "frozen": Case(frozen, FailureKind.TIMEOUT, "timed out after 1 s", True),
    "dripping": Case(spoiled(drip=True), FailureKind.TIMEOUT, "timed out after 1 s", True),
    "silent": Case(behaving(peers.silent), FailureKind.TIMEOUT, "timed out after 1 s", True),
    "firehose": Case(behaving(peers.firehose), FailureKind.TIMEOUT, "timed out after 1 s", True),
    "hanging connect": Case(hanging, FailureKind.TIMEOUT, "did not accept the connection", True),
    "truncated": Case(spoiled(cut=(b"INFO", 300)), FailureKind.CLOSED, "closed the connection"),
    "truncated at the second question": Case(spoiled(cut=(b"MGET", 9)), FailureKind.CLOSED, "closed the connection"),
    "closed after the accept": Case(behaving(peers.slam), FailureKind.CLOSED, "the connection"),
    "garbage": Case(behaving(peers.garbage), FailureKind.NOT_REDIS, "does not speak Redis's protocol"),
    "a web server": Case(behaving(peers.web_server), FailureKind.NOT_REDIS, "does not speak Redis's protocol"),
    "talks without being asked": Case(
        behaving(peers.talkative), FailureKind.NOT_REDIS, "sent more replies than were asked for"
    ),
    "answers +OK to all": Case(behaving(peers.says(b"+OK")), FailureKind.NOT_REDIS, "does not speak Redis's protocol"),
    "loading": Case(behaving(peers.says(LOADING)), FailureKind.LOADING, "is still loading its data"),
    "really loading": Case(really_loading, FailureKind.LOADING, "is still loading its data"),
    "busy": Case(behaving(peers.says(b"-BUSY a script runs")), FailureKind.SERVER, "BUSY a script runs"),
    "locked": Case(locked, FailureKind.AUTH, "does not let us in: 'NOAUTH"),
    "masterdown": Case(masterdown, FailureKind.SERVER, "MASTERDOWN"),
    "never synced": Case(never_synced, FailureKind.NEVER_SYNCED, "has never been in sync"),
    "an empty master": Case(empty_master, FailureKind.NEVER_SYNCED, "follows no master"),
    "wiped": Case(wiped_master, FailureKind.EMPTY, "was the master wiped?", state=State.SUSPECT),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_one_faulty_instance_is_named_and_changes_nothing_else(world: World, odd: Servers, case: Case) -> None:
    healthy = ask(world, world.config().instances, LONG)
    assert healthy.complete
    with Stack() as stack:
        instances = with_fault(world, case.fault(world, odd, stack))
        with waits.counted() as waited:
            gathered = ask(world, instances, SHORT if case.waits else LONG)
    (missing,) = gathered.missing
    assert missing.instance.fqdn == FAULTY
    assert failed(missing).kind is case.kind
    assert case.says in failed(missing).message
    assert failed(missing).message.startswith(f"replica {missing.instance.replica} ")
    assert missing.freshness.state is case.state
    assert missing.value is None
    others = {fqdn: value for fqdn, value in healthy.values().items() if fqdn != FAULTY}
    assert gathered.values() == others
    assert all(answer.freshness.state is State.CURRENT for answer in gathered.answered)
    if case.waits:
        assert waited.in_vain <= SHORT + ROUNDED
        assert SHORT <= gathered.elapsed < LONG
    else:
        assert waited.in_vain < LONG / 2
        assert gathered.elapsed < LONG / 2


def test_four_frozen_cost_one_deadline_not_four(world: World) -> None:
    world.freeze(*(world.replica(fqdn) for fqdn in world.layout.fqdns))
    with waits.counted() as waited:
        gathered = ask(world, world.config().instances, SHORT)
    assert SHORT <= gathered.elapsed < LONG
    assert waited.in_vain <= SHORT + ROUNDED
    assert [failed(answer).kind for answer in gathered.missing] == [FailureKind.TIMEOUT] * 4


def test_many_hanging_connects_leave_the_others_their_time(world: World) -> None:
    with Stack() as stack:
        full = [stack.enter_context(peers.full_backlog()) for _ in range(8)]
        template = world.config().instances[0]
        hung = [replace(template, fqdn=f"hung-{n}", replica=endpoint) for n, endpoint in enumerate(full)]
        with waits.counted() as waited:
            gathered = ask(world, [*hung, *world.config().instances], SHORT)
    assert len(gathered.answered) == 4
    assert waited.connects == 1  # 50 ms; the other seven are left to threads
    assert len(gathered.missing) == 8
    assert waited.in_vain <= SHORT + ROUNDED
    assert gathered.elapsed < LONG


def test_a_name_that_cannot_be_one_is_a_value_like_any_fault(world: World) -> None:
    gathered = ask(world, with_fault(world, Endpoint("a" * 70 + ".example", 6379)), LONG)
    assert failed(the(gathered, FAULTY)).kind is FailureKind.UNREACHABLE
    assert len(gathered.answered) == 3
    assert gathered.elapsed < LONG / 2  # the others are not kept waiting for it


# --- what data are worth ----------------------------------------------------------------------------------------------


def judged(world: World, spoil: peers.Spoil, max_age: float | None = None) -> Answer[Holding]:
    with peers.Peer(peers.proxy(world.replica(FAULTY).endpoint, spoil)) as peer:
        return the(ask(world, with_fault(world, peer.endpoint), LONG, max_age=max_age), FAULTY)


def test_a_replica_whose_link_is_down_answers_as_stale_with_its_age(world: World) -> None:
    answer = judged(world, peers.info(master_link_status="down\r\nmaster_link_down_since_seconds:77"))
    assert (answer.freshness.state, answer.freshness.age, answer.freshness.link) == (State.STALE, 77.0, "down")
    assert answer.value == ask(world, world.config().instances, LONG).values()["town1-1"]


def test_a_link_down_since_nobody_knows_when_is_stale_of_unknown_age(world: World) -> None:
    down = peers.info(master_link_status="down\r\nmaster_link_down_since_seconds:-1")
    answer = judged(world, down)
    assert answer.ok
    assert (answer.freshness.state, answer.freshness.age) == (State.STALE, None)
    assert failed(judged(world, down, max_age=1e5)).kind is FailureKind.TOO_OLD


def test_one_that_follows_nobody_is_stale_of_unknown_age(world: World) -> None:
    endpoint = world.master(FAULTY).endpoint
    answer = the(ask(world, with_fault(world, endpoint), LONG), FAULTY)
    assert answer.ok
    assert (answer.freshness.state, answer.freshness.age, answer.freshness.link) == (State.STALE, None, "none")
    assert failed(the(ask(world, with_fault(world, endpoint), LONG, max_age=1e5), FAULTY)).kind is FailureKind.TOO_OLD


def test_a_real_replica_whose_master_is_gone_is_stale_and_its_age_grows(world: World) -> None:
    replica = world.replica(FAULTY).endpoint
    with peers.nobody() as nowhere:
        tell(replica, [(0, ("REPLICAOF", "127.0.0.1", nowhere.port))])
        answer = the(ask(world, world.config().instances, LONG), FAULTY)
    assert answer.ok
    assert answer.freshness.state is State.STALE
    assert answer.freshness.age is not None
    assert 0 <= answer.freshness.age < 20
    assert answer.freshness.reason == "the link to its master is down"


def test_max_age_forbids_what_is_older(world: World) -> None:
    old = peers.info(master_link_status="down\r\nmaster_link_down_since_seconds:77")
    answer = judged(world, old, max_age=76)
    assert failed(answer).kind is FailureKind.TOO_OLD
    assert "has data 77 s old; at most 76 s are allowed" in failed(answer).message
    assert answer.freshness.state is State.STALE
    assert judged(world, old, max_age=77).ok
    behind = judged(world, peers.info(master_last_io_seconds_ago="61"), max_age=60)
    assert failed(behind).kind is FailureKind.TOO_OLD


def test_a_frozen_master_shows_in_the_age(world: World) -> None:
    answer = judged(world, peers.info(master_last_io_seconds_ago="55"))
    assert (answer.freshness.state, answer.freshness.age) == (State.CURRENT, 55.0)


def test_the_oldest_of_all_is_told_and_one_unknown_age_makes_it_unknown(world: World) -> None:
    with peers.Peer(peers.proxy(world.replica(FAULTY).endpoint, peers.info(master_last_io_seconds_ago="55"))) as peer:
        assert ask(world, with_fault(world, peer.endpoint), LONG).oldest == 55.0
    assert ask(world, with_fault(world, world.master(FAULTY).endpoint), LONG).oldest is None


def test_a_replica_with_one_database_is_not_empty() -> None:
    replica = b"# Replication\r\nrole:slave\r\nmaster_link_status:up\r\nmaster_last_io_seconds_ago:0\r\n"
    for keyspace in (b"# Keyspace\r\ndb0:keys=1\r\n", b"# Keyspace\r\ndb1:keys=1\r\n"):
        assert assess(replica, keyspace)[0].state is State.CURRENT
    assert assess(replica, b"# Keyspace\r\ndb2:keys=1\r\n")[0].state is State.SUSPECT
    assert assess(replica, ReplyError("NOPERM no INFO for you"))[1] == Failure(
        FailureKind.AUTH, "does not let us in: 'NOPERM no INFO for you'"
    )


def test_masters_are_asked_without_a_look_at_any_link(world: World) -> None:
    with Fleet(Side.MASTER) as fleet:
        gathered = fleet.ask(world.config().instances, program_request([(DAY, "85")]), LONG)
    assert gathered.complete
    assert {answer.freshness.state for answer in gathered.answers} == {State.CURRENT}
    assert [len(replies) for replies in gathered.values().values()] == [1, 1, 1, 1]
    assert all(replies[0][::2] for replies in gathered.values().values())


# --- connections that are kept ----------------------------------------------------------------------------------------


ECHOES = {word: Request(((0, ("ECHO", word)),)) for word in ("first", "second")}


def test_a_connection_is_kept_between_gathers(world: World) -> None:
    instances = world.config().instances
    with peers.Peer(peers.proxy(world.replica(FAULTY).endpoint)) as peer, Fleet() as fleet:
        for word in ("first", "second"):
            answer = the(fleet.ask(with_fault(world, peer.endpoint), ECHOES[word], LONG), FAULTY)
            assert answer.value == [word.encode()]
        assert len(instances) == 4
        assert peer.connections == 1


def test_a_kept_connection_whose_server_restarted_is_made_anew(world: World, odd: Servers) -> None:
    instance = at(world.config().instances[0], odd["plain"].endpoint)
    data: list[tuple[int, tuple[Any, ...]]] = [(0, ("REPLICAOF", "NO", "ONE")), *commands()]
    tell(odd["plain"].endpoint, data)
    with Fleet() as fleet:
        assert fleet.ask([instance], ECHOES["first"], LONG).complete
        odd.kill("plain")
        peers.wait_until_gone(odd["plain"].pid)
        odd.restart("plain")
        tell(odd["plain"].endpoint, data)
        (answer,) = fleet.ask([instance], ECHOES["second"], LONG).answers
        assert answer.value == [b"second"]
        assert answer.freshness.state is State.STALE  # judged anew, too


def test_a_kept_connection_that_broke_is_made_anew_once_and_no_more(world: World) -> None:
    def once(connection: socket.socket, closing: Any) -> None:
        """Serve one whole answer; then close every connection at once."""
        if peer.connections == 1:
            peers.proxy(world.replica(FAULTY).endpoint)(connection, closing)

    with peers.Peer(once) as peer, Fleet() as fleet:
        instances = with_fault(world, peer.endpoint)
        assert fleet.ask(instances, ECHOES["first"], LONG).complete
        peer.drop()
        gathered = fleet.ask(instances, ECHOES["second"], LONG)
        assert failed(the(gathered, FAULTY)).kind is FailureKind.CLOSED
        assert peer.connections == 2


def test_a_late_reply_never_meets_the_next_question(world: World) -> None:
    with Fleet() as fleet:
        instances = world.config().instances
        assert fleet.ask(instances, Request(((0, ("PING",)),)), LONG).complete
        world.freeze(world.replica(FAULTY))
        late = fleet.ask(instances, ECHOES["first"], 0.1)
        assert failed(the(late, FAULTY)).kind is FailureKind.TIMEOUT
        world.resume(world.replica(FAULTY))
        gathered = fleet.ask(instances, ECHOES["second"], LONG)
        assert [answer.value for answer in gathered.answers] == [[b"second"]] * 4


def test_a_failed_command_fails_alone_and_leaves_nothing_for_the_next(world: World) -> None:
    wrong = Request(((0, ("LPUSH", program_key(DAY, "85"), "x")), (0, ("ECHO", "first"))))
    with Fleet(Side.MASTER) as fleet:
        gathered = fleet.ask(world.config().instances, wrong, LONG)
        assert gathered.complete
        for replies in gathered.values().values():
            assert isinstance(replies[0], ReplyError)
            assert replies[1] == b"first"
        again = fleet.ask(world.config().instances, ECHOES["second"], LONG)
        assert [answer.value for answer in again.answers] == [[b"second"]] * 4


# --- the rendezvous ---------------------------------------------------------------------------------------------------


def two_steps(arrived: list[str], seen: dict[str, int]) -> TalkWith[bytes]:
    """Return talks that note who came to the rendezvous, and how many had when each went on."""

    def talk(instance: Instance) -> Talk[bytes]:
        yield ECHOES["first"]
        arrived.append(instance.fqdn)
        yield RENDEZVOUS
        seen[instance.fqdn] = len(arrived)
        (reply,) = yield ECHOES["second"]
        return bytes(reply)

    return talk


def test_all_wait_for_each_other_at_a_rendezvous(world: World) -> None:
    seen: dict[str, int] = {}
    with Fleet() as fleet:
        gathered = fleet.gather(world.config().instances, two_steps([], seen), LONG)
    assert [answer.value for answer in gathered.answers] == [b"second"] * 4
    assert set(seen.values()) == {4}


@pytest.mark.parametrize("fault", [frozen, spoiled(drip=True), hanging], ids=["frozen", "dripping", "hanging"])
def test_who_says_nothing_holds_nobody_at_a_rendezvous(
    world: World, odd: Servers, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_module, "QUIET", 60.0)  # however long that is, there is time for the second step
    with Stack() as stack, Fleet() as fleet, waits.counted() as waited:
        instances = with_fault(world, fault(world, odd, stack))
        gathered = fleet.gather(instances, two_steps([], {}), 2 * SHORT)
    assert [answer.instance.fqdn for answer in gathered.missing] == [FAULTY]
    assert [answer.value for answer in gathered.answered] == [b"second"] * 3
    assert waited.in_vain <= 2 * SHORT + ROUNDED


# --- sockets and passwords --------------------------------------------------------------------------------------------


def test_a_unix_socket_serves_as_well_as_a_port(world: World, odd: Servers) -> None:
    tell(odd["socket"].endpoint, commands())
    endpoint = Endpoint(path=str(odd.folder / "socket" / "redis.sock"))
    answer = the(ask(world, with_fault(world, endpoint), LONG), FAULTY)
    assert answer.value == ask(world, world.config().instances, LONG).values()[FAULTY]
    gone = Endpoint(path=str(odd.folder / "none.sock"))
    missing = failed(the(ask(world, with_fault(world, gone), LONG), FAULTY))
    assert missing.kind is FailureKind.REFUSED
    assert missing.message.startswith(f"replica unix://{gone.path} refused the connection")


def password_file(tmp_path: Path, content: str) -> str:
    path = tmp_path / "password"
    path.write_text(content, "utf-8")
    return str(path)


def test_a_password_from_a_file_opens_a_locked_replica(world: World, odd: Servers, tmp_path: Path) -> None:
    secret = password_file(tmp_path, "sesame_secret\n")
    tell(replace(odd["locked"].endpoint, password_file=secret), commands())
    for username in (None, "default"):
        endpoint = replace(odd["locked"].endpoint, password_file=secret, username=username)
        answer = the(ask(world, with_fault(world, endpoint), LONG), FAULTY)
        assert answer.value == ask(world, world.config().instances, LONG).values()[FAULTY]


def test_a_wrong_password_is_said_and_not_shown(world: World, odd: Servers, tmp_path: Path) -> None:
    endpoint = replace(odd["locked"].endpoint, password_file=password_file(tmp_path, "wrong_secret\n"))
    missing = failed(the(ask(world, with_fault(world, endpoint), LONG), FAULTY))
    assert missing.kind is FailureKind.AUTH
    assert "WRONGPASS" in missing.message
    assert "secret" not in missing.message


@pytest.mark.parametrize(
    ("content", "says"), [(None, "No such file"), ("", "is empty"), ("\n sesame_secret", "is empty")]
)
def test_a_password_file_that_gives_none_names_the_file(
    world: World, odd: Servers, tmp_path: Path, content: str | None, says: str
) -> None:
    path = str(tmp_path / "absent") if content is None else password_file(tmp_path, content)
    gathered = ask(world, with_fault(world, replace(odd["locked"].endpoint, password_file=path)), LONG)
    missing = failed(the(gathered, FAULTY))
    assert missing.kind is FailureKind.CREDENTIALS
    assert f"password file {path}" in missing.message
    assert says in missing.message
    assert "secret" not in missing.message
    assert len(gathered.answered) == 3


# --- the wire ---------------------------------------------------------------------------------------------------------


def test_replies_larger_than_one_gulp_come_whole(world: World) -> None:
    many = [part for n in range(40_000) for part in (start(8) + n, f"/opt/tsfiles/a_rather_long_name_{n}.ts:{n}")]
    world.load({FAULTY: [(0, ("ZADD", program_key(DAY, "86"), *many))]})
    instance = next(one for one in world.config().instances if one.fqdn == FAULTY)
    with Fleet() as fleet:
        (answer,) = fleet.ask([instance], program_request([(DAY, "86")]), LONG).answers
    assert answer.value is not None
    assert len(answer.value[0]) == 80_000
    assert answer.value[0][0] == b"/opt/tsfiles/a_rather_long_name_0.ts:0"


def test_a_request_larger_than_the_sockets_buffer_is_sent_whole(world: World) -> None:
    word = "x" * 20_000_000
    with Fleet() as fleet:
        gathered = fleet.ask(world.config().instances[:2], Request(((0, ("STRLEN", word)), (0, ("ECHO", "x")))), LONG)
    assert [answer.value for answer in gathered.answers] == [[0, b"x"]] * 2


def test_a_database_is_selected_within_the_request(world: World) -> None:
    link = Link(world.replica(FAULTY).endpoint)
    link.connect(LONG)
    link.send(Request(((1, ("GET", "jt.ts")), (PROGRAMS, ("EXISTS", program_key(DAY, "85"))), (1, ("DBSIZE",)))))
    while not link.ready():
        select.select([link.fileno()], [], [], LONG)
    assert link.take() == [b"1800", 1, 2]
    link.close()
    assert not link.connected
