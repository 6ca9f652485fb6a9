"""Checks of the completion callbacks of a request, in Temporal's order and words (semantics 2.1 item 10).

An address is judged here once, when it is registered: scheme, host, and the namespace's list of allowed hosts, which is
empty unless an operator fills it. Nothing here resolves or contacts anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final

from perdure.api import common
from perdure.config import dynamic as settings
from perdure.config.patterns import starred
from perdure.config.values import AllowedAddress
from perdure.errors import InvalidArgument, Unimplemented
from perdure.frontend.services import Call, Services
from perdure.machines.workflow.invocations import SYSTEM_URLS

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPE: Final = re.compile(r"%(?![0-9a-fA-F]{2}).{0,2}", re.DOTALL)
_SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_USER: Final = re.compile(r"[A-Za-z0-9._:~!$&'()*+,;=%@-]*")
_PORT: Final = re.compile(r"(:[0-9]*)?")


def check(services: Services, call: Call, callbacks: Iterable[common.Callback]) -> None:
    """Raise what is wrong with the callbacks. Completes them in place: header names become lower case."""
    name = call.namespace.name
    get = services.config.get
    found = list(callbacks)
    count_max = get(settings.CALLBACK_MAX_PER_EXECUTION, name)
    if len(found) > count_max:
        raise InvalidArgument(f"cannot attach more than {count_max} callbacks to an execution")
    url_max = get(settings.FRONTEND_CALLBACK_URL_MAX_LENGTH, name)
    header_max = get(settings.FRONTEND_CALLBACK_HEADER_MAX_LENGTH, name)
    rules = get(settings.CALLBACK_ALLOWED_ADDRESSES, name)
    for callback in found:
        variant = callback.WhichOneof("variant")
        if variant == "internal":
            continue
        if variant != "nexus":
            # None at all, or one that nobody delivers yet: Nexus handlers are newer than the reference.
            raise Unimplemented("unknown callback variant: <nil>")
        if len(callback.nexus.url.encode()) > url_max:
            raise InvalidArgument(f"invalid url: url length longer than max length allowed of {url_max}")
        check_address(callback.nexus.url, rules)
        _headers(callback.nexus, header_max)
    if any(callback.HasField("internal") for callback in found):
        # A form of the server's own, which no request may bring.
        raise InvalidArgument("unsupported callback variant: *common.Callback_Internal_")


def _headers(nexus: common.Callback.Nexus, bytes_max: int) -> None:
    size = sum(len(name.encode()) + len(value.encode()) for name, value in nexus.header.items())
    if size > bytes_max:
        raise InvalidArgument(f"invalid header: header size longer than max allowed size of {bytes_max}")
    lower = {name.lower(): value for name, value in nexus.header.items()}
    nexus.header.clear()
    nexus.header.update(lower)


def check_address(url: str, rules: tuple[AllowedAddress, ...]) -> None:
    """Whether callbacks may go there: the first rule that matches the host decides."""
    if url in SYSTEM_URLS:
        return
    scheme, host, shown = _parsed(url)
    if scheme not in ("http", "https"):
        raise InvalidArgument(f"invalid url: unknown scheme: {shown}")
    if not host:
        raise InvalidArgument("invalid url: missing host")
    for rule in rules:
        if _pattern(rule.pattern).fullmatch(host) is None:
            continue
        if not rule.allow_insecure and scheme != "https":
            raise InvalidArgument(f"invalid url: callback address does not allow insecure connections: {shown}")
        return
    raise InvalidArgument(f"invalid url: url does not match any configured callback address: {shown}")


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> re.Pattern[str]:
    """`*` stands for any run of characters but a line's end."""
    return re.compile(starred(pattern))


def _parsed(url: str) -> tuple[str, str, str]:
    """(scheme, host with port, the address as it is shown), read as strictly as the reference's parser reads."""
    if _CONTROL.search(url):
        raise _bad(url, "net/url: invalid control character in URL")
    rest = url.partition("#")[0]
    if rest.startswith(":"):
        raise _bad(url, "missing protocol scheme")
    named = _SCHEME.match(rest)
    scheme = named.group()[:-1].lower() if named is not None else ""
    shown = scheme + url[len(scheme) :]
    rest = rest[len(scheme) + 1 :] if scheme else rest
    rest = rest.partition("?")[0]
    host = ""
    if rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        user, _, host = authority.rpartition("@")
        if _USER.fullmatch(user) is None:
            raise _bad(url, "net/url: invalid userinfo")
        _check_host(url, host)
        rest = slash + path
    elif not scheme and ":" in rest.partition("/")[0]:
        raise _bad(url, "first path segment in URL cannot contain colon")
    escape = _ESCAPE.search(rest)
    if escape is not None:
        raise _bad(url, f'invalid URL escape "{escape.group()}"')
    return scheme, host, shown


def _check_host(url: str, host: str) -> None:
    if host.startswith("["):
        literal, bracket, port = host.rpartition("]")
        if not bracket:
            raise _bad(url, "missing ']' in host")
        if _PORT.fullmatch(port) is None:
            raise _bad(url, f'invalid port "{port}" after host')
        host = literal[1:]
        if not _is_address(host):
            # With a name inside brackets, or a zone, a pattern would judge what nobody resolves like that.
            raise _bad(url, "invalid IPv6 address in host")
    else:
        name, colon, port = host.rpartition(":")
        if colon and _PORT.fullmatch(colon + port) is None:
            raise _bad(url, f'invalid port "{colon}{port}" after host')
        host = name if colon else host
    for character in host:
        if character in ' "<>\\^`{|}':
            raise _bad(url, f'invalid character "{character}" in host name')
    escape = _ESCAPE.search(host)
    if escape is not None:
        raise _bad(url, f'invalid URL escape "{escape.group()}"')


def _is_address(text: str) -> bool:
    try:
        return IPv6Address(text).scope_id is None
    except ValueError:
        return False


def _bad(url: str, problem: str) -> InvalidArgument:
    quoted = "".join(_shown(character) for character in url)
    return InvalidArgument(f'invalid callback url: parse "{quoted}": {problem}')


def _shown(character: str) -> str:
    """A character inside quotes, as Go writes it."""
    if character in '"\\':
        return "\\" + character
    if character in _NAMED:
        return _NAMED[character]
    return f"\\x{ord(character):02x}" if character < " " or character == "\x7f" else character


_NAMED: Final = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
