"""Datagrams of speakers that are no agent of ours: other routers, mistakes, forgeries."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from vrrpd.proto.datagram import Datagram
from vrrpd.proto.packet import GROUP_V4, Advertisement, Dialect, encode
from vrrpd.proto.settings import Address
from vrrpd.proto.timers import SECOND

LB1, LB2, STRANGER = (IPv4Address(f"10.0.0.{last}") for last in (11, 12, 99))
ADVERT = Advertisement(3, 51, 100, SECOND, (IPv4Address("10.0.0.100"),))


def multicast(source: Address, advert: Advertisement = ADVERT, *, ttl: int = 255) -> Datagram:
    """What a speaker sends to the group."""
    to: Address = GROUP_V4
    return Datagram(encode(advert, source, to, Dialect.PSEUDO), source, to, ttl)


def unicast(source: Address, to: Address, advert: Advertisement = ADVERT, *, ttl: int = 255) -> Datagram:
    """What a speaker sends to one of our nodes."""
    return replace(
        multicast(source, advert, ttl=ttl), destination=to, payload=encode(advert, source, to, Dialect.PSEUDO)
    )


def spoilt(datagram: Datagram) -> Datagram:
    """The same with a wrong checksum."""
    return replace(datagram, payload=datagram.payload[:2] + b"\x01" + datagram.payload[3:])


def carp(source: Address, vhid: int = 51) -> Datagram:
    """What a CARP speaker sends to the group that it shares with VRRP."""
    return Datagram(bytes((0x21, vhid, 0, 7, 2, 1, 0, 0)) + bytes(28), source, GROUP_V4, 255)
