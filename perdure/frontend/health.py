"""grpc.health.v1: the server answers SERVING from its first call on; a transport that drains takes no new calls."""

from __future__ import annotations

from perdure.api import Message, health
from perdure.api.methods import OPERATOR_SERVICE, WORKFLOW_SERVICE
from perdure.errors import ServiceError, StatusCode
from perdure.frontend.services import Call, Services

SERVED = frozenset({"", WORKFLOW_SERVICE, OPERATOR_SERVICE})
"""Service names with a health of their own."""


class UnknownService(ServiceError):
    """No such service; without Temporal's detail message, as grpc-go's health server answers."""

    code = StatusCode.NOT_FOUND


async def check(_: Services, __: Call, request: health.HealthCheckRequest) -> Message | bytes:
    """Health of one service."""
    if request.service not in SERVED:
        raise UnknownService("unknown service")
    return health.HealthCheckResponse(status=health.HealthCheckResponse.SERVING)


async def watch(services: Services, call: Call, request: health.HealthCheckRequest) -> None:
    """The health now, then silence until the caller leaves: it does not change while calls are taken."""
    known = request.service in SERVED
    status = health.HealthCheckResponse.SERVING if known else health.HealthCheckResponse.SERVICE_UNKNOWN
    call.wire.send(health.HealthCheckResponse(status=status).SerializeToString())
    await services.loop.create_future()
