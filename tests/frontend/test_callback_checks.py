"""Addresses of callbacks that try to be another host than the one that is allowed (reliability S18)."""

from __future__ import annotations

import pytest

from perdure.api.common import Callback
from perdure.config.values import AllowedAddress
from perdure.errors import InvalidArgument
from perdure.frontend.callback_checks import check_address
from perdure.machines.workflow.invocations import destination
from perdure.system.outgoing import _address, _redacted

RULES = (AllowedAddress("*.ours:443", False), AllowedAddress("plain.ours", True))


@pytest.mark.parametrize(
    "url",
    [
        "https://a.ours:443/x",
        "https://a.b.ours:443",
        "HTTPS://a.ours:443/x",
        "http://plain.ours/x?y#z",
        "https://plain.ours",
        "https://user:secret@a.ours:443/x",
        "temporal://system",
        "temporal://internal",
    ],
)
def test_allowed(url: str) -> None:
    check_address(url, RULES)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://a.ours:443/x", "does not allow insecure"),
        ("https://a.ours:443@evil/x", "does not match"),
        ("https://evil/a.ours:443", "does not match"),
        ("https://evil?a.ours:443", "does not match"),
        ("https://evil#a.ours:443", "does not match"),
        ("https://evil#@a.ours:443/", "does not match"),
        ("https://evil\\@a.ours:443/", "invalid userinfo"),
        ("https://evil\\.ours:443/", "invalid character"),
        ("https://evil .ours:443/", "invalid character"),
        ("https://evil\t.ours:443/", "invalid control character"),
        ("https://evil\n@a.ours:443/", "invalid control character"),
        ("https://xours:443/", "does not match"),
        ("https://a.ours:443x/", "invalid port"),
        ("http://plain.ours.evil/", "does not match"),
        ("http://2130706433/", "does not match"),
        ("http://[::1]/", "does not match"),
        ("http://[::1/", "missing ']' in host"),
        ("http://[::1]x/", "invalid port"),
        ("http://[::1x.good.com:1]/", "invalid IPv6 address in host"),
        ("http://[fe80::1%25.good.com]/", "invalid IPv6 address in host"),
        ("http://169.254.169.254/latest", "does not match"),
        ("temporal://system/", "unknown scheme"),
        ("temporal://System", "unknown scheme"),
        ("file:///etc/passwd", "unknown scheme"),
        ("gopher://a.ours:443/", "unknown scheme"),
        ("https:a.ours:443", "missing host"),
        (":", "missing protocol scheme"),
        ("1:2", "first path segment"),
        ("https://a.ours:443/%", 'invalid URL escape "%"'),
        ("https://a.ours%zz:443/", 'invalid URL escape "%zz"'),
    ],
)
def test_refused(url: str, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem.replace("[", r"\[")):
        check_address(url, RULES)


def test_nothing_is_allowed_without_rules() -> None:
    with pytest.raises(InvalidArgument, match="does not match any configured callback address"):
        check_address("https://a.ours:443/", ())


@pytest.mark.parametrize(
    "url",
    [
        "https://a.ours:443/x",
        "https://a.ours/x?y=%20#z",
        "http://A.ours:80",
        "http://[::1]:8080/x",
        "http://[::1]/x",
        "https://user:secret@a.ours:8443/x",
        "http://a.ours:?x",
    ],
)
def test_the_client_reads_the_host_that_was_checked(url: str) -> None:
    callback = Callback()
    callback.nexus.url = url
    assert _address(url, destination(callback)).scheme == url.partition(":")[0].lower()


def test_the_client_refuses_another_host() -> None:
    with pytest.raises(ValueError, match="ambiguous host"):
        _address("https://evil/x", "https://a.ours")


def test_a_password_in_an_address_is_not_shown() -> None:
    assert _redacted("https://me:secret@host/path@x") == "https://me:xxxxx@host/path@x"
    assert _redacted("https://me@host/a:b@c") == "https://me@host/a:b@c"
