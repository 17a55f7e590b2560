"""A plain RFC speaker for the simulated network: what a peer of another make does, with no Leaving and no groups.

The addresses go at once with priority 0, every priority 0 re-arms Skew_Time, a lower Active is answered or not
(RFC 9568 or RFC 5798), as keepalived and FRR behave. Nothing of `vrrpd.proto.router` is used, so that the two can
disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.proto.network import Host, Network
from vrrpd.proto.effects import Acquire, Announce, Effect, Release, SendAdvert
from vrrpd.proto.events import Received
from vrrpd.proto.group import Asked
from vrrpd.proto.packet import GROUPS, Advertisement, Dialect, encode
from vrrpd.proto.settings import Address, Settings


class Plain(Host):
    """One virtual router by the letter of RFC 9568 section 6.4 (or 5798, where it does not answer losers)."""

    def __init__(
        self, network: Network, name: str, source: Address, settings: Settings, *, answers_losers: bool = True
    ) -> None:
        super().__init__(network, name, [source], [settings])
        self.mine: Settings = settings
        self.answers_losers = answers_losers
        self.state = "initialize"
        self.timer: int | None = None
        self.learnt = settings.interval

    def start(self) -> None:
        if not self.alive or self.state == "initialize":
            self.alive, self.state, self.learnt = True, "backup", self.mine.interval
            self._arm_down()
            self.settle([])

    def stop(self) -> None:
        if self.alive:
            effects: list[Effect] = [SendAdvert(0), Release()] if self.state == "active" else []
            self.state, self.timer = "initialize", None
            self.settle(self._mark(effects))

    def deadline(self) -> int | None:
        return self.timer

    def tick(self) -> list[Asked]:
        if self.timer is None or self.clock < self.timer:
            return []
        self.timer = self.clock + self.mine.interval
        if self.state == "active":
            return self._mark([SendAdvert(self.mine.priority)])
        self.state = "active"
        return self._mark([SendAdvert(self.mine.priority), Acquire(), Announce()])

    def received(self, link: int, event: Received) -> list[Asked]:
        if self.state == "initialize":
            return []
        if self.state == "backup":
            self._as_backup(event.advert)
            return []
        return self._mark(self._as_active(event))

    def datagrams(self, link: int, priority: int) -> list[tuple[Address, bytes]]:
        s = self.mine
        said = Advertisement(s.version, s.vrid, priority, s.interval, s.addresses)
        to: Sequence[Address] = s.peers if s.unicast else (GROUPS[s.family],)
        return [(each, encode(said, self.sources[0], each, Dialect.PSEUDO)) for each in to]

    def check(self) -> None:
        assert self.held == [self.state == "active"]

    def crash(self) -> None:
        super().crash()
        self.state, self.timer = "initialize", None

    def _as_backup(self, said: Advertisement) -> None:
        if said.priority == 0:
            self.timer = self.clock + self._skew()
        elif said.priority >= self.mine.priority or not self.mine.preempt:
            self.learnt = said.interval if self.mine.version == 3 else self.mine.interval
            self._arm_down()

    def _as_active(self, event: Received) -> list[Effect]:
        said, mine = event.advert, self.mine.priority
        if said.priority == 0:
            self.timer = self.clock + self.mine.interval
            return [SendAdvert(mine)]
        if said.priority > mine or (said.priority == mine and int(event.source) > int(self.sources[0])):
            self.state = "backup"
            self.learnt = said.interval if self.mine.version == 3 else self.mine.interval
            self._arm_down()
            return [Release()]
        return [SendAdvert(mine), Announce()] if self.answers_losers else []

    def _arm_down(self) -> None:
        self.timer = self.clock + 3 * self.learnt + self._skew()

    def _skew(self) -> int:
        unit = self.learnt if self.mine.version == 3 else 10**9
        return (256 - self.mine.priority) * unit // 256

    @staticmethod
    def _mark(effects: list[Effect]) -> list[Asked]:
        return [(0, effect) for effect in effects]


def like(settings: Settings, priority: int, peers: Sequence[Address]) -> Settings:
    """The settings of another node of the same router."""
    return replace(settings, priority=priority, peers=tuple(peers))
