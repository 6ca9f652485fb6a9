"""The HTTP/JSON API: requests become calls, answers become JSON; in this process, without sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.types import ASGIApp

from perdure.api import workflowservice
from perdure.api.json_read import ELEMENTS_MAX
from perdure.api.methods import http_rules
from perdure.transport import http_json
from perdure.transport.calls import Peer
from perdure.transport.http_headers import BadHeader, metadata_of, timeout_of
from perdure.transport.http_json import (
    BODY_BYTES_MAX,
    FOR_THE_UI,
    ON_LOOP_BYTES_MAX,
    JsonGateway,
    http_api,
    is_own_host,
)
from perdure.transport.http_routes import BadPath, Routes
from perdure.transport.inline import InlineCall
from perdure.ui.application import UiOptions, ui_application
from perdure.ui.landing import Facts
from tests.frontend.asgi import Exchange, Response, ask
from tests.frontend.served import Served, served, until

W = "/api/v1/namespaces/default/workflows/"
START = '{"workflowType":{"name":"t"},"taskQueue":{"name":"q"},"input":[1]}'
FACTS = Facts("1.0", "1.32.0", (("Server", "localhost:1"), ("UI", "http://localhost:2")), "localhost:1", "x", "memory")


def gateway(server: Served, hosts: tuple[str, ...] = ("*",)) -> JsonGateway:
    """The application of the HTTP API."""
    return JsonGateway(server.server.frontend.dispatch, "1.32.0", lambda: hosts)


@asynccontextmanager
async def ui(options: UiOptions | None = None) -> AsyncIterator[ASGIApp]:
    """The application of the UI's port."""
    async with served() as server:
        dispatch = server.server.frontend.dispatch
        api = JsonGateway(dispatch, "1.32.0", form=FOR_THE_UI)
        yield ui_application(api, dispatch, FACTS, options or UiOptions())


def test_every_binding_is_found() -> None:
    """Each with the values of its variables, and none in the place of another."""
    rules = http_rules()
    routes = Routes(rules)
    assert len(rules) > 200
    for rule in rules:
        parts = [f"v{at}%2F" if part.startswith("{") else part for at, part in enumerate(rule.template.split("/"))]
        match = routes.find(rule.verb, "/".join(parts))
        assert match is not None, rule
        assert match.rule.method == rule.method, (rule, match.rule)
        assert [name for name, _ in match.variables] == [
            part[1:-1] for part in rule.template.split("/") if part.startswith("{")
        ]
        assert all(value.startswith("v") and value.endswith("/") for _, value in match.variables)


@pytest.mark.parametrize("path", ["/api/v1/namespaces/%zz", "/api/v1/namespaces/%", "/api/v1/namespaces/%ff"])
def test_paths_that_cannot_be_decoded(path: str) -> None:
    """Are an error of the caller."""
    with pytest.raises(BadPath):
        Routes(http_rules()).find("GET", path)


def test_headers_become_metadata() -> None:
    """Only those that may."""
    fields = [
        (b"authorization", b"Bearer x"),
        (b"grpc-metadata-x-own", b"1"),
        (b"grpc-metadata-grpc-timeout", b"1S"),
        (b"grpc-metadata-bytes-bin", b"AAE="),
        (b"user-agent", b"me"),
        (b"x-secret", b"2"),
        (b"x-forwarded-for", b"198.51.100.1"),
        (b"grpc-metadata-bad", "é".encode("latin-1")),
        (b"host", b"h:1"),
    ]
    metadata = dict(metadata_of(fields, "192.0.2.7", "1.32.0").items())
    assert metadata == {
        "authorization": "Bearer x",
        "grpcgateway-authorization": "Bearer x",
        "grpcgateway-user-agent": "me",
        "grpcgateway-host": "h:1",
        "x-own": "1",
        "bytes-bin": "AAE=",
        "client-name": "temporal-server-http",
        "client-version": "1.32.0",
        "x-forwarded-for": "198.51.100.1, 192.0.2.7",
        "x-forwarded-host": "h:1",
    }
    named = metadata_of([(b"client-name", b"n"), (b"client-version", b"v")], "", "1.32.0")
    assert (named.get("client-name"), named.get("client-version")) == ("n", "v")
    with pytest.raises(BadHeader):
        metadata_of([(b"grpc-metadata-x-bin", b"!")], "", "1")
    assert timeout_of([(b"grpc-timeout", b"250m")]) == 0.25
    assert timeout_of([]) is None
    with pytest.raises(BadHeader):
        timeout_of([(b"grpc-timeout", b"5x")])


async def test_a_workflow_over_http() -> None:
    """Start, describe, history in the four forms, an error with its detail."""
    async with served() as server:
        app = gateway(server)
        started = await ask(app, "POST", W + "a%2Fb", START)
        assert started.status == 200
        run = started.json["runId"]
        described = await ask(app, "GET", f"{W}a%2Fb?execution.runId={run}")
        assert described.json["workflowExecutionInfo"]["execution"] == {"workflowId": "a/b", "runId": run}
        short = await ask(app, "GET", W + "a%2Fb/history")
        assert short.headers["content-type"] == "application/json"
        attributes = short.json["history"]["events"][0]["workflowExecutionStartedEventAttributes"]
        assert attributes["input"] == [1]
        long = await ask(app, "GET", W + "a%2Fb/history?noPayloadShorthand&pretty")
        assert long.headers["content-type"] == "application/json+pretty+no-payload-shorthand"
        assert b"\n  " in long.body
        attributes = long.json["history"]["events"][0]["workflowExecutionStartedEventAttributes"]
        assert attributes["input"]["payloads"][0]["data"] == "MQ=="
        again = await ask(app, "POST", W + "a%2Fb", START)
        assert (again.status, again.json["code"], again.json["details"][0]["runId"]) == (409, 6, run)


async def test_a_host_that_is_not_allowed() -> None:
    """Is told so; what does not exist does not exist for it either."""
    async with served() as server:
        app = gateway(server, ("good", "*.example:80"))
        for host, status in (("good", 200), ("x.example:80", 200), ("bad", 403), ("good.evil", 403)):
            response = await ask(app, "GET", "/api/v1/system-info", headers={"host": host})
            assert response.status == status, host
        assert (await ask(app, "GET", "/nope", headers={"host": "bad"})).status == 404


@pytest.mark.parametrize(
    ("verb", "headers", "status"),
    [
        ("POST", {"origin": "http://evil"}, 403),
        ("POST", {"origin": "null"}, 403),
        ("POST", {"sec-fetch-site": "cross-site"}, 403),
        ("POST", {"origin": "http://localhost"}, 200),
        ("GET", {"origin": "http://evil"}, 404),
    ],
)
async def test_pages_of_other_sites_cannot_write(verb: str, headers: dict[str, str], status: int) -> None:
    """Reading they may try: their browser keeps the answer from them."""
    async with served() as server:
        assert (await ask(gateway(server), verb, W + "w", START, headers)).status == status


async def test_bodies_have_a_number_of_elements() -> None:
    """They are counted before anything is made of them: a million of them stood the server still for seconds."""
    body = START.replace("[1]", "[" + "1," * ELEMENTS_MAX + "1]")
    async with served() as server:
        answer = await ask(gateway(server), "POST", W + "w", body.encode())
        assert answer.status == 400
        assert "too many elements in lists and maps" in answer.json["message"]


async def test_large_json_is_read_and_written_beside_the_loop() -> None:
    """Which turns meanwhile: a page of fifty thousand events takes a second. The answers are the same."""
    large = json.dumps({"workflowType": {"name": "t"}, "taskQueue": {"name": "q"}, "input": ["x" * ON_LOOP_BYTES_MAX]})
    async with served() as server:
        threads_seen = {}
        for name, body in (("small", START), ("large", large)):
            for verb, path, sent in (("POST", W + name, body), ("GET", W + name + "/history", "")):
                exchange = Exchange(gateway(server), verb, path, {})
                exchange.send(sent.encode())
                threads = set(threading.enumerate())
                while not exchange.task.done():
                    await asyncio.sleep(0)
                    threads |= set(threading.enumerate())
                await exchange.task
                answer = Response(exchange.events)
                assert answer.status == 200, answer.json
                threads_seen[name, verb] = len(threads)
        assert threads_seen["small", "GET"] == threads_seen["small", "POST"] < threads_seen["large", "POST"]
        assert answer.json["history"]["events"][0]["workflowExecutionStartedEventAttributes"]["input"] == [
            "x" * ON_LOOP_BYTES_MAX
        ]


async def test_bodies_have_a_limit_and_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declared or not, and before anything is parsed."""
    async with served() as server:
        app = gateway(server)
        declared = await ask(app, "POST", W + "w", b"", {"content-length": str(BODY_BYTES_MAX + 1)})
        assert (declared.status, declared.json) == (400, {"code": 3, "message": "http: request body too large"})
        sent = Exchange(app, "POST", W + "w", {})
        for _ in range(5):
            sent.send(b" " * (1 << 20), more=True)
        await sent.task
        assert sent.events[0]["status"] == 400
        monkeypatch.setattr(http_json, "BODY_S", 0.01)
        slow = Exchange(app, "POST", W + "w", {})
        slow.send(b"{", more=True)
        await slow.task
        assert slow.events[0]["status"] == 408


async def test_bodies_of_all_requests_have_a_limit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that passes it is refused; when others have gone there is room again."""
    monkeypatch.setattr(http_json, "BODIES_BYTES_MAX", 3000)
    async with served() as server:
        app = gateway(server)
        first = Exchange(app, "POST", W + "w", {})
        first.send(b" " * 2000, more=True)
        await until(lambda: first.incoming.empty())
        assert (await ask(app, "POST", W + "w", b" " * 2000)).status == 429
        first.disconnect()
        await first.task
        assert (await ask(app, "POST", W + "w", START + " " * 2000)).status == 200


async def test_a_verb_cannot_be_overridden() -> None:
    """What a proxy lets pass as POST stays one."""
    async with served() as server:
        app = gateway(server)
        headers = {"content-type": "application/x-www-form-urlencoded", "x-http-method-override": "DELETE"}
        refused = await ask(app, "POST", "/api/v1/namespaces/default/schedules/s/patch", "x=1", headers)
        assert refused.json["message"].startswith("invalid JSON")


async def test_a_client_that_goes_away_takes_its_call_along() -> None:
    """A long poll ends with its caller, and nothing is answered."""
    async with served() as server:
        app = gateway(server)
        assert (await ask(app, "POST", W + "w", START)).status == 200
        poll = Exchange(app, "GET", W + "w/history?waitNewEvent=true&historyEventFilterType=2", {})
        poll.send(b"")
        await until(lambda: server.server.frontend.running == 1)
        poll.disconnect()
        await poll.task
        assert poll.events == []
        await until(lambda: server.server.frontend.running == 0)


async def test_a_long_poll_is_answered_by_what_happens() -> None:
    """The close of the workflow."""
    async with served() as server:
        app = gateway(server)
        await ask(app, "POST", W + "w", START)
        poll = Exchange(app, "GET", W + "w/history?waitNewEvent=true&historyEventFilterType=2", {})
        poll.send(b"")
        await until(lambda: server.server.frontend.running == 1)
        assert (await ask(app, "POST", W + "w/terminate", "{}")).status == 200
        await poll.task
        events = json.loads(poll.events[1]["body"])["history"]["events"]
        assert [event["eventType"] for event in events] == ["EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED"]


async def test_a_timeout_is_the_calls_own() -> None:
    """`Grpc-Timeout` ends the call, with grpc-gateway's status."""
    async with served() as server:
        app = gateway(server)
        await ask(app, "POST", W + "w", START)
        query = W + "w/query/q"
        timed_out = await ask(app, "POST", query, "{}", {"grpc-timeout": "50m"})
        assert (timed_out.status, timed_out.json["code"]) == (504, 4)


async def test_an_answer_without_a_json_form_is_an_error() -> None:
    """Of ours, and said as such: JSON knows no year 10000."""
    answer = workflowservice.GetClusterInfoResponse(cluster_name="x").SerializeToString()
    described = workflowservice.DescribeNamespaceResponse()
    described.namespace_info.SetInParent()
    described.failover_history.add().failover_time.seconds = 1 << 60
    answers = iter((answer, described.SerializeToString()))
    app = JsonGateway(lambda call: call.respond(next(answers)), "1.32.0")
    assert (await ask(app, "GET", "/api/v1/cluster-info")).json == {"clusterName": "x"}
    refused = await ask(app, "GET", "/api/v1/namespaces/default")
    assert (refused.status, refused.json["code"]) == (500, 13)


async def test_the_api_describes_itself() -> None:
    """In both versions, with every binding."""
    async with served() as server:
        app = http_api(gateway(server))
        for path, key in (("/openapi.yaml", "openapi"), ("/openapi.json", "openapi"), ("/swagger.json", "swagger")):
            document = (await ask(app, "GET", path)).json
            assert key in document
            operations = [verb for verbs in document["paths"].values() for verb in verbs]
            assert len(operations) == len(http_rules())
            ids = [operation["operationId"] for verbs in document["paths"].values() for operation in verbs.values()]
            assert len(ids) == len(set(ids))
            text = json.dumps(document)
            schemas = document["components"]["schemas"] if key == "openapi" else document["definitions"]
            prefix = "#/components/schemas/" if key == "openapi" else "#/definitions/"
            references = {part.split('"')[0] for part in text.split(f'"$ref": "{prefix}')[1:]}
            assert references == set(schemas)
        assert (await ask(app, "GET", "/nope")).json == {"code": 5, "message": "Not Found"}
        assert (await ask(app, "GET", "/api/v1/system-info")).json["serverVersion"] == "1.32.0"


async def test_the_uis_port() -> None:
    """Settings, health, payloads in their long form, compression."""
    async with ui(UiOptions(codec_endpoint="http://codec", disable_news_fetch=True)) as app:
        assert (await ask(app, "GET", "/healthz")).json == {"status": "OK"}
        settings = (await ask(app, "GET", "/api/v1/settings")).json
        assert (settings["Codec"]["Endpoint"], settings["DisableNewsFetch"]) == ("http://codec", True)
        assert settings["Auth"] == {"Enabled": False, "Options": None, "RedirectToProvider": False}
        run = (await ask(app, "POST", W + "a%2Fb", '{"workflowType":{"name":"t"},"taskQueue":{"name":"q"}}')).json[
            "runId"
        ]
        signal = '{"input":{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"MQ=="}]}}'
        assert (await ask(app, "POST", W + "a%2Fb/signal/s", signal)).status == 200
        events = (await ask(app, "GET", f"{W}a%2Fb/run/{run}/history.json")).json
        assert [event["eventId"] for event in events] == ["1", "2", "3"]
        assert events[2]["workflowExecutionSignaledEventAttributes"]["input"]["payloads"][0]["data"] == "MQ=="
        missing = await ask(app, "GET", f"{W}nope/run/{run}/history.json")
        assert (missing.status, missing.json["code"]) == (404, 5)
        packed = await ask(app, "GET", W + "a%2Fb/history", headers={"accept-encoding": "gzip"})
        assert json.loads(gzip.decompress(packed.body) if "content-encoding" in packed.headers else packed.body)
        assert (await ask(app, "POST", "/")).status == 405


async def test_a_history_of_many_pages_is_one_list() -> None:
    """In order and complete."""
    async with ui() as app:
        run = (await ask(app, "POST", W + "w", '{"workflowType":{"name":"t"},"taskQueue":{"name":"q"}}')).json["runId"]
        for _ in range(300):
            await ask(app, "POST", W + "w/signal/s", "{}")
        events = (await ask(app, "GET", f"{W}w/run/{run}/history.json")).json
        assert [int(event["eventId"]) for event in events] == list(range(1, 303))


async def test_the_landing_page() -> None:
    """Says what runs here, in HTML that nothing of a user's can break, and needs nothing from elsewhere."""
    async with ui(UiOptions(public_path="/ui")) as app:
        await ask(app, "POST", "/ui" + W + "w", '{"workflowType":{"name":"t"},"taskQueue":{"name":"q"}}')
        page = await ask(app, "GET", "/ui/")
        text = page.body.decode()
        assert page.status == 200
        assert "default</th><td>1</td><td>0</td>" in text
        assert "src=" not in text
        assert "localhost:1" in text
        assert (await ask(app, "GET", "/")).headers["location"] == "/ui/"
        assert (await ask(app, "GET", "/uix")).status == 307
        assert (await ask(app, "GET", "/ui/nope")).status == 404
        assert (await ask(app, "GET", "/healthz")).status == 200


async def test_the_web_uis_files(tmp_path: Path) -> None:
    """A folder of them makes the port serve the Web UI, under its prefix, and nothing outside the folder."""
    (tmp_path / "secret").write_text("no")
    assets = tmp_path / "assets"
    (assets / "_app").mkdir(parents=True)
    (assets / "index.html").write_text('<script src="/_app/x.js"></script> base: ""')
    (assets / "_app" / "x.js").write_text("1")
    async with ui(UiOptions(public_path="/ui", asset_path=str(assets))) as app:
        page = await ask(app, "GET", "/ui/namespaces/default/workflows")
        assert page.body == b'<script src="/ui/_app/x.js"></script> base: "/ui"'
        assert (await ask(app, "GET", "/ui/_app/x.js")).body == b"1"
        for escape in ("/ui/../secret", "/ui/%2e%2e/secret", "/ui/_app/../../secret"):
            assert (await ask(app, "GET", escape)).body != b"no"
        assert (await ask(app, "GET", "/ui/api/v1/settings")).status == 200


async def test_an_inline_call_is_answered_once() -> None:
    """Whatever comes later."""
    call = InlineCall("/x", b"", metadata_of([], "", "1"), 5.0, Peer("", False, None))
    call.respond(b"1")
    call.respond(b"2")
    call.fail(13, "late")
    call.cancel()
    assert await call.answer == [b"1"]


@pytest.mark.parametrize(
    ("server", "host", "own"),
    [
        ("127.0.0.1", "127.0.0.1:7243", True),
        ("127.0.0.1", "localhost:8233", True),
        ("127.0.0.1", "LOCALHOST.", True),
        ("127.0.0.1", "app.localhost", True),
        ("127.0.0.1", "192.168.0.7", True),
        ("127.0.0.1", "", True),
        ("::1", "[::1]:7243", True),
        ("127.0.0.1", "evil.example:7243", False),
        ("::1", "evil.example", False),
        ("127.0.0.1", "localhost.evil.example", False),
        ("127.0.0.1", "evil-localhost", False),
        ("127.0.0.1", "127.0.0.1.evil.example:80", False),
        ("10.0.0.1", "temporal.example", True),
    ],
)
def test_on_a_loopback_address_we_have_local_names_only(server: str, host: str, own: bool) -> None:
    """DNS rebinding: a site whose name points to 127.0.0.1 is no part of us."""
    assert is_own_host(host, (server, 7243)) is own


async def test_the_page_and_the_history_answer_who_asks_badly() -> None:
    """A header that no call can carry, and a name that no file has: the caller's mistakes, not faults."""
    history = "/api/v1/namespaces/default/workflows/w/run/r/history.json"
    async with ui() as app:
        for path in ("/", history):
            assert (await ask(app, "GET", path, headers={"grpc-metadata-x-bin": "!!"})).status == 400, path


async def test_hosts_are_checked_for_every_page(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("the page")
    async with served() as server:
        api = gateway(server, ("good",))
        options = UiOptions(asset_path=str(tmp_path))
        app = ui_application(api, server.server.frontend.dispatch, FACTS, options)
        history = "/api/v1/namespaces/default/workflows/w/run/r/history.json"
        for path in ("/", "/api/v1/settings", history, "/index.html"):
            assert (await ask(app, "GET", path, headers={"host": "bad"})).status == 403, path
        for path in ("/" + "a" * 300, "/" + "a/" * 9_000, "//etc/passwd", "/../../etc/passwd", "/a%00"):
            response = await ask(app, "GET", path, headers={"host": "good"})
            assert (response.status, response.body) == (200, b"the page"), path
