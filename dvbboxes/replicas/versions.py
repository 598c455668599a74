"""Which server can follow which: a replica must read the dump of its master. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

#: First version of each product whose dumps have a new format, newest first: (version, number of the format).
#: Redis from 7.4 and Valkey from 9.0 went separate ways: their dumps are no longer read by each other.
_FORMATS = {
    "redis": (((8, 2), 13), ((7, 4), 12), ((7, 2), 11), ((7, 0), 10), ((5, 0), 9), ((0, 0), 8)),
    "valkey": (((9, 0), 80), ((0, 0), 11)),
}
_LAST_COMMON = 11


@dataclass(frozen=True, slots=True)
class Version:
    """A server's product (``redis`` or ``valkey``) and number."""

    product: str
    text: str

    def __str__(self) -> str:
        return f"{self.product} {self.text}"

    @property
    def number(self) -> tuple[int, int]:
        """Major and minor; (0, 0) where the text has none."""
        found = re.match(r"(\d+)\.(\d+)", self.text)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    @property
    def dump(self) -> int:
        """The number of the format of its dumps."""
        return next(form for first, form in _FORMATS[self.product] if self.number >= first)


def version_of(server: Mapping[str, str]) -> Version:
    """Return what a server is from its ``INFO server`` fields: Valkey calls itself redis 7.2.4 too."""
    if server.get("server_name") == "valkey":
        return Version("valkey", server.get("valkey_version", "?"))
    return Version("redis", server.get("redis_version", "?"))


def can_follow(replica: Version, master: Version) -> bool:
    """Return whether a replica can read its master's dumps."""
    if replica.product != master.product and max(replica.dump, master.dump) > _LAST_COMMON:
        return master.dump <= min(replica.dump, _LAST_COMMON)
    return replica.dump >= master.dump
