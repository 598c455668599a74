"""Faults of a replica: each makes, for instances of a fleet, the places where their replicas are then to be found."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import hiredis
import peers

from dvbboxes.demo.servers import Server, Servers, tell
from dvbboxes.demo.world import World
from dvbboxes.model import Endpoint, State

Stack: TypeAlias = contextlib.ExitStack
#: Returns where the replica of one instance is to be found; what it did is undone when the stack is closed.
Place: TypeAlias = Callable[[World, Servers, Stack, str], Endpoint]


@dataclass(frozen=True)
class Fault:
    """One fault. ``state`` is what the instance is called; a stale one answers all the same.

    ``waits``: only the deadline ends it.
    """

    name: str
    place: Place
    state: State = State.UNAVAILABLE
    waits: bool = False

    @property
    def answers(self) -> bool:
        return self.state is State.STALE


def _peer(behaviour: peers.Behaviour) -> Place:
    return lambda world, odd, stack, fqdn: stack.enter_context(peers.Peer(behaviour)).endpoint


def _proxied(spoil: peers.Spoil | None = None, *, drip: bool = False, cut: tuple[bytes, int] | None = None) -> Place:
    def place(world: World, odd: Servers, stack: Stack, fqdn: str) -> Endpoint:
        behaviour = peers.proxy(world.replica(fqdn).endpoint, spoil, drip=drip, cut=cut)
        return stack.enter_context(peers.Peer(behaviour)).endpoint

    return place


def _refused(world: World, odd: Servers, stack: Stack, fqdn: str) -> Endpoint:
    return stack.enter_context(peers.nobody())


def _frozen(world: World, odd: Servers, stack: Stack, fqdn: str) -> Endpoint:
    world.freeze(world.replica(fqdn))
    stack.callback(world.resume, world.replica(fqdn))
    return world.replica(fqdn).endpoint


def _killed(world: World, odd: Servers, stack: Stack, fqdn: str) -> Endpoint:
    """Its first reply is half sent when it is killed with -9; from then on nobody is there."""
    server = world.replica(fqdn)
    stack.callback(_again, world, server)
    return stack.enter_context(peers.Peer(_killing(server))).endpoint


def _killing(server: Server) -> peers.Behaviour:
    def behave(connection: socket.socket, closing: threading.Event) -> None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port)) as upstream:
            upstream.sendall(connection.recv(65536))
            connection.sendall(upstream.recv(100)[:60])
            os.kill(server.pid, signal.SIGKILL)

    return behave


def _again(world: World, server: Server) -> None:
    if server.alive:
        world.kill(server)
    peers.wait_until_gone(server.pid)
    world.restart(server)


def _at_odd(name: str) -> Place:
    def place(world: World, odd: Servers, stack: Stack, fqdn: str) -> Endpoint:
        return stack.enter_context(peers.Peer(peers.proxy(odd[name].endpoint))).endpoint

    return place


def _wiped(world: World, odd: Servers, stack: Stack, fqdn: str) -> Endpoint:
    """Its master was started again, empty: the replica follows and is empty within a second, link up."""
    held = tell(world.master(fqdn).endpoint, [(db, ("KEYS", "*")) for db in (0, 1)])
    kept = [
        (db, key, tell(world.master(fqdn).endpoint, [(db, ("DUMP", key))])[0])
        for db, keys in enumerate(held)
        for key in keys
    ]
    tell(world.master(fqdn).endpoint, [(0, ("FLUSHALL",))])
    stack.callback(tell, world.master(fqdn).endpoint, [(db, ("RESTORE", key, 0, dump)) for db, key, dump in kept])
    return world.replica(fqdn).endpoint


HOUR = peers.info(master_link_status="down\r\nmaster_link_down_since_seconds:3600")
LOADING = b"-LOADING Redis is loading the dataset in memory"

FAULTS = {
    fault.name: fault
    for fault in (
        Fault("refused", _refused),
        Fault("frozen", _frozen, waits=True),
        Fault("killed mid-reply", _killed),
        Fault("a byte per 100 ms", _proxied(drip=True), waits=True),
        Fault("truncated reply", _proxied(cut=(b"INFO", 300))),
        Fault("garbage", _peer(peers.garbage)),
        Fault("closes after accept", _peer(peers.slam)),
        Fault("LOADING", _peer(peers.says(LOADING))),
        Fault("NOAUTH", _at_odd("locked")),
        Fault("MASTERDOWN", _at_odd("refusing")),
        Fault("never synced", _at_odd("never")),
        Fault("wiped", _wiped, State.SUSPECT),
        Fault("link down for an hour", _proxied(HOUR), State.STALE),
        Fault("not Redis at all", _peer(peers.web_server)),
        Fault("silent", _peer(peers.silent), waits=True),
    )
}


def put_out(fault: Fault, world: World, odd: Servers, stack: Stack, fqdns: Sequence[str]) -> dict[str, Endpoint]:
    """Make a fault on some instances; return where their replicas are now. All is undone with the stack."""
    stack.callback(world.servers.wait_in_sync)
    places = {fqdn: fault.place(world, odd, stack, fqdn) for fqdn in fqdns}
    if fault.state is State.SUSPECT:
        world.servers.wait_in_sync()
    return places


def packed(*words: bytes) -> bytes:
    """Return a command as it travels."""
    data: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub says a tuple of one
    return data
