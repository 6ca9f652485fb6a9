"""TLS: ALPN, the server's name, and client certificates. Certificates come from the `openssl` command."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import grpc.aio  # type: ignore[import-untyped]
import pytest

from perdure.errors import StatusCode
from perdure.transport import tls
from perdure.transport.calls import ServerCall
from perdure.transport.client import Channel, RpcError
from perdure.transport.options import ServerOptions
from perdure.transport.server import GrpcServer

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CA, and certificates of a server and of a client: NAME.crt, NAME.key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    folder = tmp_path_factory.mktemp("pem")

    def openssl(*arguments: str) -> None:
        subprocess.run(("openssl", *arguments), cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    ca = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=test ca", *ca)
    for name, usage in (("server", "serverAuth"), ("client", "clientAuth")):
        openssl("req", "-new", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "ext").write_text(f"subjectAltName=DNS:perdure.test,IP:{HOST}\nextendedKeyUsage={usage}\n")
        signer = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "ext")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signer)
    return folder


def files(pem: Path, name: str) -> tuple[str, str]:
    return str(pem / f"{name}.crt"), str(pem / f"{name}.key")


async def started(pem: Path, client_ca: bool) -> tuple[GrpcServer, int, list[ServerCall]]:
    seen: list[ServerCall] = []

    def dispatch(call: ServerCall) -> None:
        seen.append(call)
        call.respond(call.message)

    server = GrpcServer(dispatch, ServerOptions())
    context = tls.server_context(*files(pem, "server"), str(pem / "ca.crt") if client_ca else None)
    return server, await server.start(HOST, 0, context), seen


def test_grpcio_over_tls(pem: Path) -> None:
    """A foreign client, large messages too; the call knows that it is encrypted."""

    async def test() -> None:
        server, port, seen = await started(pem, client_ca=False)
        credentials = grpc.ssl_channel_credentials((pem / "ca.crt").read_bytes())
        async with grpc.aio.secure_channel(f"{HOST}:{port}", credentials) as channel:
            assert await channel.unary_unary("/a/b")(bytes(1_000_000), timeout=10) == bytes(1_000_000)
        assert seen[0].peer.tls
        assert seen[0].peer.certificate is None
        await server.stop(1)

    asyncio.run(test())


def test_a_client_shows_its_certificate(pem: Path) -> None:
    """Mutual TLS: the certificate reaches the call in DER, a client without one does not get in."""

    async def test() -> None:
        server, port, seen = await started(pem, client_ca=True)
        ca = str(pem / "ca.crt")
        good = Channel(HOST, port, tls.client_context(ca, *files(pem, "client")))
        assert await good.unary("/a/b", b"x", timeout_s=10) == b"x"
        expected = ssl.PEM_cert_to_DER_cert((pem / "client.crt").read_text())
        assert seen[0].peer.certificate == expected
        for name in (None, "server"):
            pair = files(pem, name) if name is not None else (None, None)
            bad = Channel(HOST, port, tls.client_context(ca, *pair))
            with pytest.raises(RpcError) as caught:
                await bad.unary("/a/b", b"x", timeout_s=10)
            assert caught.value.code == StatusCode.UNAVAILABLE
            await bad.close()
        assert len(seen) == 1
        await good.close()
        await server.stop(1)

    asyncio.run(test())


def test_the_servers_name_is_checked(pem: Path) -> None:
    """By the name that is asked for, unless told not to."""

    async def test() -> None:
        server, port, _ = await started(pem, client_ca=False)
        ca = str(pem / "ca.crt")
        for name, verify, works in (("perdure.test", True, True), ("other.test", True, False), ("x.test", False, True)):
            channel = Channel(HOST, port, tls.client_context(ca, verify_host=verify), server_hostname=name)
            if works:
                assert await channel.unary("/a/b", b"x", timeout_s=10) == b"x"
            else:
                with pytest.raises(RpcError) as caught:
                    await channel.unary("/a/b", b"x", timeout_s=10)
                assert caught.value.code == StatusCode.UNAVAILABLE
            await channel.close()
        await server.stop(1)

    asyncio.run(test())


@pytest.mark.parametrize("protocols", [[], ["http/1.1"]])
def test_without_alpn_h2_there_is_no_connection(pem: Path, protocols: list[str]) -> None:
    """RFC 9113 section 3.2: a client that does not offer h2 is closed before it is heard."""

    async def test() -> None:
        server, port, _ = await started(pem, client_ca=False)
        context = ssl.create_default_context(cafile=str(pem / "ca.crt"))
        if protocols:
            context.set_alpn_protocols(protocols)
        try:
            reader, writer = await asyncio.open_connection(HOST, port, ssl=context)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
        except OSError:
            pass
        await server.stop(1)

    asyncio.run(test())


def test_old_tls_and_plain_text_are_refused(pem: Path) -> None:
    """And the server serves on."""

    async def test() -> None:
        server, port, _ = await started(pem, client_ca=False)
        context = ssl.create_default_context(cafile=str(pem / "ca.crt"))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AES128-SHA")
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(HOST, port, ssl=context)
        plain = Channel(HOST, port)
        with pytest.raises(RpcError):
            await plain.unary("/a/b", b"", timeout_s=5)
        channel = Channel(HOST, port, tls.client_context(str(pem / "ca.crt")))
        assert await channel.unary("/a/b", b"x", timeout_s=10) == b"x"
        for one in (plain, channel):
            await one.close()
        await server.stop(1)

    asyncio.run(test())
