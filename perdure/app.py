"""The composition root: the only module that names concrete classes and puts a server together.

A `Server` is everything of one process on one event loop; `run_dev_server` is what the command line calls. Nothing
is decided here.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, final

from perdure import __version__
from perdure.archival.files import FileProvider
from perdure.archival.providers import Providers
from perdure.clock import Clock, WallClock
from perdure.cluster.endpoints import EndpointRegistry
from perdure.cluster.identity import load_identity
from perdure.cluster.namespaces import NamespaceRegistry
from perdure.cluster.task_queues import TaskQueueRegistry
from perdure.config import dynamic as settings
from perdure.config.devserver import DevServerOptions, addresses, banner
from perdure.config.dynamic import DynamicConfig
from perdure.engine.engine import Engine
from perdure.frontend.batch_work import BatchWork
from perdure.frontend.namespace_deletion import NamespaceDeletionWork
from perdure.frontend.schedule_actions import ScheduleActions
from perdure.frontend.service import REQUEST_STREAMS, Frontend
from perdure.frontend.services import Services
from perdure.frontend.tokens import Tokens
from perdure.frontend.versions import SERVER_VERSION
from perdure.ids import IdSource, SystemIds
from perdure.machines.batch import BatchMachine
from perdure.machines.namespace_deletion import NamespaceDeletionMachine
from perdure.machines.schedule.machine import ScheduleMachine
from perdure.machines.task_queue import QueueKey
from perdure.matching.service import Matching
from perdure.store.api import Store, StoreError
from perdure.store.sqlite import SqliteStore
from perdure.system.outgoing import Outside
from perdure.telemetry.logs import configure
from perdure.transport.listen import listen
from perdure.transport.options import ServerOptions
from perdure.transport.server import GrpcServer
from perdure.visibility.attributes import TYPE_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perdure.ui.application import UiOptions
    from perdure.ui.landing import Facts
    from perdure.ui.serve import HttpServers

CACHE_BYTES = 256 << 20
"""Chains held in memory by one process, unless the server is told otherwise."""
DRAIN_S = 2.0
"""How long a stopping server lets calls in progress finish."""
SWITCH_INTERVAL_S = 0.0005
"""A short interpreter switch interval: a thread that syncs gets the lock back soon (DESIGN 5). Process-wide, so never
when embedded.
"""

GC_THRESHOLDS = (50_000, 20, 100)
"""The cycle collector runs seldom: nearly nothing here is a cycle, and full passes walk every cached chain (10 % of the
CPU of a one-activity workflow at the defaults). Process-wide, so never when embedded."""


@final
class Server:
    """One process's server without its listener: store, engine, matching and frontend on the running loop."""

    def __init__(
        self, store: Store, clock: Clock, ids: IdSource, config: DynamicConfig, cache_bytes_max: int = 0
    ) -> None:
        self.store = store
        self.clock = clock
        self.ids = ids
        self.config = config
        self.namespaces = NamespaceRegistry(store, config, ids)
        self.endpoints = EndpointRegistry(store)
        self.matching = Matching(clock, asyncio.get_running_loop(), fair=self._shares_fairly)
        self.task_queues = TaskQueueRegistry(store, self.matching.queue_changed)
        self.outside = Outside(config)
        self.engine = Engine(
            store, self.matching, self.namespaces, self.outside, clock, ids, cache_bytes_max or CACHE_BYTES
        )
        self._archive_files = FileProvider(lambda: config.get(settings.PERDURE_ARCHIVAL_FILE_ROOTS))
        self.archive = Providers({"file": self._archive_files})
        self.engine.archiving.provider = self.archive
        self._frontend: Frontend | None = None

    @property
    def frontend(self) -> Frontend:
        """The RPC surface; there is one once the server is open."""
        assert self._frontend is not None, "open comes first"
        return self._frontend

    async def open(
        self, namespaces: tuple[str, ...] = ("default",), search_attributes: Mapping[str, str] | None = None
    ) -> None:
        """Open the store, take ownership, make sure that these namespaces exist, and begin to work.

        `search_attributes` are theirs, with the names of their types.
        """
        await self.store.open()
        identity = await load_identity(self.store, self.ids)
        await self.namespaces.load()
        await self.endpoints.load()
        await self.task_queues.load()
        types = {name: TYPE_NUMBERS[kind] for name, kind in (search_attributes or {}).items()}
        for name in namespaces:
            await self.namespaces.ensure(name, types)
        services = Services(
            engine=self.engine,
            matching=self.matching,
            namespaces=self.namespaces,
            endpoints=self.endpoints,
            task_queues=self.task_queues,
            store=self.store,
            config=self.config,
            clock=self.clock,
            ids=self.ids,
            identity=identity,
            tokens=Tokens(identity.token_key),
            loop=asyncio.get_running_loop(),
            version=__version__,
            archive=self.archive,
        )
        self.engine.entities.register(BatchMachine(), BatchWork(services).perform)
        self.engine.entities.register(NamespaceDeletionMachine(), NamespaceDeletionWork(services).perform)
        self.engine.entities.register(ScheduleMachine(), ScheduleActions(services).perform)
        await self.engine.open()
        self._frontend = Frontend(services)

    def _shares_fairly(self, queue: QueueKey) -> bool:
        view = self.namespaces.view(queue.namespace_id)
        name = "" if view is None else view.name
        return self.config.get(settings.MATCHING_ENABLE_FAIRNESS, name, queue.name, queue.type)

    async def close(self) -> None:
        """Stop in order: no new calls, queued writes out, store closed."""
        self.matching.close()
        if self._frontend is not None:
            await self._frontend.close()
        await self.engine.close()
        self._archive_files.close()
        await self.outside.close()
        await self.store.close()


def run_dev_server(options: DevServerOptions) -> int:
    """`perdure server start-dev`: serve until SIGINT or SIGTERM; the exit status."""
    configure(options.log_level, options.log_format)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    runner: Callable[[], asyncio.AbstractEventLoop] | None = None
    if sys.platform != "win32":
        import uvloop

        runner = uvloop.new_event_loop
    try:
        with asyncio.Runner(loop_factory=runner) as loop:
            return loop.run(_serve_dev(options))
    except (OSError, StoreError) as error:
        print(f"perdure: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


async def _serve_dev(options: DevServerOptions) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    config = DynamicConfig(options.dynamic_config)
    for warning in config.warnings:
        print(f"perdure: {warning}", file=sys.stderr)
    store = SqliteStore(options.db_filename, options.sqlite_pragmas)
    server = Server(store, WallClock(), SystemIds(), config)
    http = _HttpPorts(server, options)
    await server.open(options.namespaces, options.search_attributes)
    listener = GrpcServer(server.frontend.dispatch, http.grpc_options(), REQUEST_STREAMS)
    try:
        await listener.start(options.ip, options.port)
        print(banner(options, __version__, http.api_port), flush=True)
        await http.start()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        await stop.wait()
    finally:
        async with asyncio.TaskGroup() as stopping:
            stopping.create_task(listener.stop(DRAIN_S))
            stopping.create_task(http.stop())
            await asyncio.sleep(0)  # connections are told to go first, so that nobody polls again
            server.matching.close()
        await server.close()
    return 0


@final
class _HttpPorts:
    """The HTTP ports of a dev server. They listen at once, and answer when their libraries are loaded.

    Those are loaded behind the gRPC port, in a thread: an SDK waits five seconds for its first answer, and must not
    wait for what it does not use.
    """

    def __init__(self, server: Server, options: DevServerOptions) -> None:
        """Listen. Raises OSError."""
        self._server = server
        self._options = options
        self._api = listen(options.ip, options.http_port)
        self._ui = None if options.headless else listen(options.ui_ip or options.ip, options.ui_port)
        self._servers: HttpServers | None = None
        self.api_port: int = self._api.getsockname()[1]

    def grpc_options(self) -> ServerOptions:
        """For the gRPC port: it tells callers who mean these where they are."""
        where = f"The HTTP/JSON API is on port {self.api_port}"
        where += "." if self._ui is None else f", the web pages are on port {self._ui.getsockname()[1]}."
        return ServerOptions(http1_elsewhere=where)

    async def start(self) -> None:
        """Answer. Raises OSError when the Web UI's files cannot be read."""
        serve = await asyncio.to_thread(importlib.import_module, "perdure.ui.serve")
        self._servers = serve.HttpServers()
        hosts = partial(self._server.config.get, settings.FRONTEND_HTTP_ALLOWED_HOSTS)
        ui = None if self._ui is None else serve.UiPort(self._ui, *self._page())
        await self._servers.start(self._server.frontend.dispatch, SERVER_VERSION, hosts, self._api, ui)

    def _page(self) -> tuple[Facts, UiOptions]:
        from perdure.ui.application import UiOptions
        from perdure.ui.landing import Facts

        options = self._options
        known = addresses(options, self.api_port)
        where = dict(known)
        grpc, ui = where["Server"], where["UI"]
        facts = Facts(__version__, SERVER_VERSION, known, grpc, ui, options.db_filename or "in memory, lost at exit")
        given = (options.ui_public_path, options.ui_asset_path, options.ui_codec_endpoint)
        return facts, UiOptions(*given, options.ui_disable_news_fetch)

    async def stop(self) -> None:
        """Let requests finish, then stop listening."""
        if self._servers is not None:
            await self._servers.stop(DRAIN_S)
        for listener in (self._api, self._ui):
            if listener is not None:
                listener.close()
