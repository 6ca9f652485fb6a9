"""The HTTP/JSON API: an ASGI application that turns a request into a call of the RPC it is bound to.

It holds no handler. The bindings come from the descriptors (`google.api.http`), the call goes through the same
dispatch as gRPC, with the same interceptors and the same errors; here is only what HTTP and JSON add: paths, queries,
bodies, forms of the answer, statuses. Answers are those of the reference's HTTP API (server_inventory 1.0), except
where docs/http-api.md says otherwise.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from ipaddress import ip_address
from typing import Final, NamedTuple, TypeVar, final
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from perdure.api import Message, Method, Status, http_rules, method_table
from perdure.api.json_read import ELEMENTS_MAX, BadJson, from_json
from perdure.api.json_write import to_json
from perdure.api.openapi import document
from perdure.api.text_fields import BadField, set_path, set_query
from perdure.config.patterns import starred
from perdure.errors import StatusCode
from perdure.transport.calls import Peer
from perdure.transport.client import RpcError
from perdure.transport.http_headers import BadHeader, Fields, header, metadata_of, timeout_of
from perdure.transport.http_routes import BadPath, Match, Routes
from perdure.transport.inline import Dispatch, InlineCall, start_call

T = TypeVar("T")

BODY_BYTES_MAX: Final = 4 * 1024 * 1024
"""One request body, as on the gRPC port."""
BODIES_BYTES_MAX: Final = 256 * 1024 * 1024
"""Bodies of all requests that are arriving at once; the request that passes it gets RESOURCE_EXHAUSTED."""
ON_LOOP_BYTES_MAX: Final = 64 * 1024
"""JSON is read and written on the loop up to this size of a body or of an answer's message."""
QUERY_FIELDS_MAX: Final = 1_000
"""Parameters of one query."""
BODY_S: Final = 30.0
"""How long a request body may take to arrive."""
CALL_S_MAX: Final = 120.0
"""How long a call may take when its caller sets no `Grpc-Timeout`: longer than any long poll."""

STATUS_OF: Final = {
    StatusCode.CANCELLED: 499,
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.DEADLINE_EXCEEDED: 504,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.UNAUTHENTICATED: 401,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.FAILED_PRECONDITION: 400,
    StatusCode.ABORTED: 409,
    StatusCode.OUT_OF_RANGE: 400,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.UNAVAILABLE: 503,
}
"""HTTP statuses of errors, 500 for those that are not listed; grpc-gateway's."""

HOST_NOT_ALLOWED: Final = b'{"code": 7, "message": "Host not allowed"}'
_PORT: Final = re.compile(r":[0-9]*\Z")
FORM: Final = b"application/x-www-form-urlencoded"
WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Form(NamedTuple):
    """How an answer is written."""

    content_type: str
    shorthand: bool
    pretty: bool


PLAIN: Final = Form("application/json", shorthand=True, pretty=False)
"""What a request gets that asks for nothing. The reference names its type "*", which clients cannot know."""

FORMS: Final = {
    form.content_type: form
    for form in (
        Form("application/json+pretty", shorthand=True, pretty=True),
        Form("application/json+no-payload-shorthand", shorthand=False, pretty=False),
        Form("application/json+pretty+no-payload-shorthand", shorthand=False, pretty=True),
    )
}
"""The other forms, by the media type in `Accept` or `Content-Type`."""

FOR_THE_UI: Final = Form("application/json", shorthand=False, pretty=False)
"""What the Web UI reads: payloads in their long form, it decodes them itself."""


class Answer(NamedTuple):
    """A whole response."""

    status: int
    content_type: str
    body: bytes


class Refused(Exception):
    """A request that becomes no call."""

    def __init__(self, code: StatusCode, message: str, http_status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.http_status = http_status or STATUS_OF.get(code, 500)


class ClientGone(Exception):
    """Nobody reads the answer."""


@final
class JsonGateway:
    """The ASGI application. `hosts` gives the allowed values of `Host`, with `*` for any text; when there are none,
    `is_own_host` judges.
    """

    def __init__(
        self,
        dispatch: Dispatch,
        server_version: str,
        hosts: Callable[[], Sequence[str]] = lambda: ("*",),
        form: Form = PLAIN,
    ) -> None:
        self._dispatch = dispatch
        self._server_version = server_version
        self._hosts = hosts
        self._form = form
        self._routes = Routes(http_rules())
        self._methods = method_table()
        self._arriving = Arriving()
        self._waiting: set[InlineCall] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises nothing that the client could cause."""
        assert scope["type"] == "http", scope["type"]
        headers: Fields = scope["headers"]
        inbound, outbound = self._forms(headers, scope["query_string"])
        try:
            answer = await self._answer(scope, receive, inbound, outbound)
        except ClientGone:
            return
        except Refused as refused:
            status = Status(code=int(refused.code), message=refused.message)
            answer = Answer(refused.http_status, outbound.content_type, _json(status, outbound))
        await send_answer(send, answer)

    def end_calls(self) -> None:
        """Answer whoever still waits: the server stops."""
        for call in list(self._waiting):
            call.fail(int(StatusCode.UNAVAILABLE), "the server is stopping")

    def refused_host(self, scope: Scope) -> Answer | None:
        """The answer to a request for a host that is not ours; None when it is."""
        host = header(scope["headers"], b"host").decode("latin-1")
        hosts = tuple(self._hosts())
        if _hosts_pattern(hosts).fullmatch(host) if hosts else is_own_host(host, scope.get("server")):
            return None
        return Answer(403, "application/json", HOST_NOT_ALLOWED)

    def _forms(self, headers: Fields, query: bytes) -> tuple[Form, Form]:
        """How the body is read and the answer written."""
        inbound = FORMS.get(_media_type(header(headers, b"content-type")), self._form)
        keys = {pair.partition(b"=")[0] for pair in query.split(b"&")}
        pretty, long = b"pretty" in keys, b"noPayloadShorthand" in keys
        if pretty or long:
            asked = "application/json" + "+pretty" * pretty + "+no-payload-shorthand" * long
            return inbound, FORMS[asked] if self._form is PLAIN else self._form._replace(pretty=pretty)
        return inbound, FORMS.get(header(headers, b"accept").decode("latin-1"), inbound)

    async def _answer(self, scope: Scope, receive: Receive, inbound: Form, outbound: Form) -> Answer:
        headers: Fields = scope["headers"]
        match, is_form = self._match(scope["method"], raw_path(scope), headers)
        refused = self.refused_host(scope)
        if refused is not None:
            return refused
        refuse_other_sites(scope["method"], headers)
        method = self._methods[match.rule.method]
        body = await self._arriving.body(receive, headers)
        request = method.request()
        try:
            query = scope["query_string"] + b"&" + body * is_form
            await _aside(len(body), partial(self._fill, request, match, body, query, inbound))
            client = scope.get("client")
            metadata = metadata_of(headers, client[0] if client else "", self._server_version)
            timeout_s = timeout_of(headers)
        except (BadJson, BadField, BadHeader) as wrong:
            raise Refused(StatusCode.INVALID_ARGUMENT, str(wrong)) from None
        peer = Peer(f"{client[0]}:{client[1]}" if client else "", scope.get("scheme") == "https", None)
        call = InlineCall(match.rule.method, request.SerializeToString(), metadata, timeout_s or CALL_S_MAX, peer)
        return await self._call(call, method, receive, outbound)

    def _match(self, verb: str, path: str, headers: Fields) -> tuple[Match, bool]:
        """The binding, and whether the body is a form that stands for the query of a GET."""
        try:
            match = self._routes.find(verb, path)
            if match is not None:
                return match, False
            if verb == "POST" and header(headers, b"content-type") == FORM:
                match = self._routes.find("GET", path)
                if match is not None:
                    return match, True
            if self._routes.other_verbs(verb, path):
                raise Refused(StatusCode.UNIMPLEMENTED, "Method Not Allowed")
        except BadPath as wrong:
            raise Refused(StatusCode.INVALID_ARGUMENT, str(wrong)) from None
        raise Refused(StatusCode.NOT_FOUND, "Not Found")

    def _fill(self, request: Message, match: Match, body: bytes, query: bytes, form: Form) -> None:
        """Body, then path, then query: the path wins. Raises BadJson, BadField."""
        rule = match.rule
        assert rule.body in ("", "*"), "the API binds whole bodies only"
        if rule.body == "*" and body.strip():
            from_json(request, body, shorthand=form.shorthand, elements_max=ELEMENTS_MAX)
        for name, value in match.variables:
            try:
                set_path(request, name, value)
            except BadField as wrong:
                raise BadField(f"type mismatch, parameter: {name}, error: {wrong}") from None
        if rule.body != "*":
            pairs = _query_pairs(query)
            set_query(request, pairs, [name for name, _ in match.variables])

    async def _call(self, call: InlineCall, method: Method, receive: Receive, form: Form) -> Answer:
        """Dispatch, and wait for the answer or for the client to go away."""
        start_call(self._dispatch, call)
        try:
            if not call.answer.done():
                self._waiting.add(call)
                await _unless_gone(call.answer, receive)
            (message,) = call.answer.result()
        except RpcError as error:
            return failed(error, form)
        finally:
            self._waiting.discard(call)
            call.cancel()
        text = await _aside(len(message), lambda: _json(method.response.FromString(message), form))
        return Answer(200, form.content_type, text)


async def _aside(size: int, work: Callable[[], T]) -> T:
    """Reading or writing JSON: what is large goes into a thread, for it takes microseconds for every few bytes."""
    return work() if size <= ON_LOOP_BYTES_MAX else await asyncio.to_thread(work)


def raw_path(scope: Scope) -> str:
    """The path as it was sent, without the prefix under which the application is mounted."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    root: str = scope.get("root_path", "")
    return raw.decode("latin-1").removeprefix(root)


def is_own_host(host: str, server: Sequence[object] | None) -> bool:
    """Whether a request that reached `server` (address and port) by the name in `host` may mean us.

    A page of another site may let its own name point to 127.0.0.1, and its visitor's browser then takes us for a part
    of that site. So on a loopback address we have local names only; elsewhere nobody knows our names but the operator.
    """
    if server is None or not _is_loopback(str(server[0])):
        return True
    name = _PORT.sub("", host).removesuffix(".").lower()
    return name in ("", "localhost") or name.endswith(".localhost") or _is_address(name.strip("[]"))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_loopback(text: str) -> bool:
    return _is_address(text) and ip_address(text).is_loopback


def refuse_other_sites(verb: str, headers: Fields) -> None:
    """A page of another site must not write through its visitor's browser. Raises Refused.

    Only browsers send these headers, and no page can leave them out.
    """
    if verb not in WRITES:
        return
    origin = header(headers, b"origin")
    foreign = origin and origin.partition(b"://")[2] != header(headers, b"host")
    if foreign or header(headers, b"sec-fetch-site") == b"cross-site":
        raise Refused(StatusCode.PERMISSION_DENIED, "requests from pages of other sites are refused")


@final
class Arriving:
    """The bodies that are being read, with the bounds of one and of all."""

    def __init__(self) -> None:
        self.bytes = 0
        """Of all bodies, so far."""

    async def body(self, receive: Receive, headers: Fields) -> bytes:
        """A whole body. Raises Refused for one too long, too slow or too many, ClientGone."""
        declared = header(headers, b"content-length")
        if declared.isdigit() and int(declared) > BODY_BYTES_MAX:
            raise _too_large()
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(BODY_S):
                while await self._more(receive, chunks):
                    pass
        except TimeoutError:
            raise Refused(StatusCode.DEADLINE_EXCEEDED, "the request body took too long", 408) from None
        finally:
            self.bytes -= sum(map(len, chunks))
        return b"".join(chunks)

    async def _more(self, receive: Receive, chunks: list[bytes]) -> bool:
        """The next piece; whether another will come."""
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = event.get("body", b"")
        chunks.append(chunk)
        self.bytes += len(chunk)
        if sum(map(len, chunks)) > BODY_BYTES_MAX:
            raise _too_large()
        if self.bytes > BODIES_BYTES_MAX:
            raise Refused(StatusCode.RESOURCE_EXHAUSTED, "too many request bodies at once")
        return bool(event.get("more_body"))


def _too_large() -> Refused:
    return Refused(StatusCode.INVALID_ARGUMENT, "http: request body too large")


async def send_answer(send: Send, answer: Answer) -> None:
    """One response."""
    head = [(b"content-type", answer.content_type.encode()), (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": head})
    await send({"type": "http.response.body", "body": answer.body})


async def _unless_gone(answer: asyncio.Future[list[bytes]], receive: Receive) -> None:
    """Wait for the answer. Raises ClientGone."""
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
    if not answer.done():
        raise ClientGone


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _query_pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=QUERY_FIELDS_MAX
        )
    except ValueError as wrong:
        raise BadField(f"invalid query: {wrong}") from None


def _media_type(value: bytes) -> str:
    return value.partition(b";")[0].strip().decode("latin-1")


@lru_cache(maxsize=8)
def _hosts_pattern(hosts: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(starred, hosts)), re.DOTALL)


def failed(error: RpcError, form: Form) -> Answer:
    """What a failed call is for HTTP."""
    status = Status.FromString(error.details) if error.details else Status(code=int(error.code), message=error.message)
    return Answer(STATUS_OF.get(error.code, 500), form.content_type, _json(status, form))


def _json(message: Message, form: Form) -> bytes:
    try:
        return to_json(message, shorthand=form.shorthand, pretty=form.pretty)
    except ValueError as wrong:
        raise Refused(StatusCode.INTERNAL, f"the answer has no JSON form: {wrong}") from None


OPENAPI: Final = {
    "/openapi.yaml": (3, "application/yaml"),
    "/openapi.json": (3, "application/json"),
    "/swagger.json": (2, "application/json"),
}
"""Where the API describes itself; the text of the first is JSON, which is YAML too."""


def http_api(gateway: JsonGateway) -> ASGIApp:
    """The application of `--http-port`: the gateway, and the documents that describe it."""
    routes: list[BaseRoute] = [Route(path, partial(_described, *what)) for path, what in OPENAPI.items()]
    return Starlette(routes=[*routes, Mount("/", gateway)])


async def _described(version: int, content_type: str, _: Request) -> Response:
    return Response(document(version), media_type=content_type)
