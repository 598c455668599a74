"""Where a Redis listens, as the configuration writes it (SPEC 3). Pure."""

from __future__ import annotations

from posixpath import normpath
from typing import NamedTuple
from urllib.parse import unquote

from dvbboxes.config.values import BadValue, host, port, shown
from dvbboxes.model import Endpoint

_FORMS = "6381, host:6381, [::1]:6381, unix:///path, redis://host:6381 or rediss://host:6381"
_LOOPBACK = {"localhost": "127.0.0.1"}


class Access(NamedTuple):
    """What ``[REDIS]`` says of one side (replicas or masters); passwords stay in their files."""

    username: str | None = None
    password_file: str | None = None
    tls: bool = False
    tls_ca_file: str | None = None

    def at(self, host_name: str, number: int) -> Endpoint:
        """Return the endpoint ``host_name:number`` with this access."""
        return Endpoint(
            host_name,
            number,
            None,
            self.tls,
            self.tls_ca_file if self.tls else None,
            self.username,
            self.password_file,
        )

    def parse(self, text: str) -> Endpoint:
        """Return what ``text`` names, with this access. A URL says itself whether TLS is used, and may name a user.

        Raises BadValue, which never shows a password.
        """
        if "://" in text:
            return self._url(text)
        if text.isascii() and text.isdigit():
            return self.at("127.0.0.1", port(text))
        if "@" in text:
            raise BadValue(f"a user or password stands in {shown(text)}: write {_FORMS}")
        return self.at(*_host_and_port(text, None))

    def _url(self, text: str) -> Endpoint:
        scheme, _, rest = text.partition("://")
        scheme = scheme.lower()
        if scheme not in ("redis", "rediss", "unix"):
            raise BadValue(f"{shown(text)} is no endpoint: write {_FORMS}")
        # A password may hold / ? or #: what stands before the last @ is looked at first and never shown.
        front, _, place = rest.rpartition("@")
        if scheme == "unix" and rest.startswith("/"):
            front, place = "", rest
        if ":" in front:
            raise BadValue("no password stands in this file: put it in a file and name that in [REDIS] password_file")
        if "?" in place or "#" in place:
            raise BadValue(f"{shown(text)}: leave out what follows the ? or #")
        username = unquote(front) if front else self.username
        if scheme == "unix":
            if not place.startswith("/") or not place.strip("/"):
                raise BadValue(f"{shown(text)} has no absolute path (e.g. unix:///run/redis/redis.sock)")
            return Endpoint(path=unquote(place), username=username, password_file=self.password_file)
        authority, _, database = place.partition("/")
        if database not in ("", "0"):
            raise BadValue(f"{shown(text)}: leave out the database, dvbboxes chooses it")
        access = self._replace(tls=scheme == "rediss", username=username)
        return access.at(*_host_and_port(authority, 6379))


def _host_and_port(text: str, default: int | None) -> tuple[str, int]:
    if text.startswith("["):
        name, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in name or (rest and not rest.startswith(":")):
            raise BadValue(f"{shown(text)} is no endpoint: write {_FORMS}")
        number = rest[1:]
        if not rest and default is None:
            raise BadValue(f"{shown(text)} has no port: write {_FORMS}")
    else:
        name, colon, number = text.rpartition(":")
        if not colon:
            if default is None:
                raise BadValue(f"{shown(text)} is neither a port nor host:port: write {_FORMS}")
            name, number = text, ""
        elif ":" in name:
            raise BadValue(f"{shown(text)}: put an IPv6 address in brackets, e.g. [::1]:6381")
        rest = colon
    return host(name), port(number) if rest or default is None else default


def same_place(endpoint: Endpoint) -> tuple[str, int]:
    """Return a key that is equal for two ways of writing one server (``6381``, ``localhost:6381``)."""
    if endpoint.path is not None:
        return normpath(endpoint.path), 0
    return _LOOPBACK.get(endpoint.host, endpoint.host), endpoint.port
