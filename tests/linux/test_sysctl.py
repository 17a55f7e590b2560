"""Kernel settings of an interface are read and written by their path."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from vrrpd.linux import sysctl
from vrrpd.proto.settings import Family

Inside = Callable[[str], AbstractContextManager[None]]
Ip = Callable[..., None]


@pytest.mark.netns
@pytest.mark.parametrize(("family", "key"), [(Family.IPV4, "promote_secondaries"), (Family.IPV6, "forwarding")])
def test_a_setting_is_written_and_read_back(inside: Inside, family: Family, key: str) -> None:
    with inside("left"):
        before = sysctl.read(family, "eth0", key)
        assert before is not None
        for value in (1 - before, before):
            assert sysctl.write(family, "eth0", key, value) is None
            assert sysctl.read(family, "eth0", key) == value


@pytest.mark.netns
def test_a_dot_in_the_name_of_an_interface_is_no_separator(inside: Inside, ip: Ip) -> None:
    ip("left", "link", "add", "vrrp.101", "type", "veth", "peer", "name", "other")
    with inside("left"):
        assert sysctl.write(Family.IPV4, "vrrp.101", "promote_secondaries", 1) is None
        assert sysctl.read(Family.IPV4, "vrrp.101", "promote_secondaries") == 1


@pytest.mark.netns
def test_without_permission_the_setting_and_the_mend_are_named(
    inside: Inside, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    with inside("left"):
        value = sysctl.read(Family.IPV4, "eth0", "promote_secondaries")
        assert value is not None
        with unprivileged():
            assert sysctl.write(Family.IPV4, "eth0", "promote_secondaries", value) is None  # nothing to do
            error = sysctl.write(Family.IPV4, "eth0", "promote_secondaries", 1 - value)
    assert error is not None
    assert error.errno in (errno.EACCES, errno.EPERM)
    assert "net/ipv4/conf/eth0/promote_secondaries" in error.text
    assert "CAP_NET_ADMIN is missing" in error.text


@pytest.mark.parametrize("name", ["no-such-one", "../../../kernel", "a/b", ".."])
def test_an_interface_that_is_not_there_is_a_value(name: str) -> None:
    assert sysctl.read(Family.IPV4, name, "promote_secondaries") is None
    error = sysctl.write(Family.IPV4, name, "promote_secondaries", 1)
    assert error is not None
    assert error.errno == errno.ENOENT
    assert "the interface does not exist" in error.text
