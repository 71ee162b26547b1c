"""The client's HTTP requests: the login in a header, a limit of time for each, and the server's errors as exceptions.

    HttpTransport.get, post, request    JSON, decoded into a struct
    HttpTransport.get_tagged            a body that is not sent again while its ETag is the same
    HttpTransport.send, fetch           bodies of megabytes, up and down

Every call raises the LobbyError that the server reports, Disconnected when there is no answer, and ProtocolError for an
answer that does not follow the protocol. This module must never know a route.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import msgspec

from tussle.lobby.addresses import is_own_machine
from tussle.lobby.error_codes import error_of
from tussle.lobby.errors import LobbyError, ProtocolError
from tussle.lobby.hidden_imports import hidden
from tussle.player.transcript import Disconnected

with hidden("rich", "pygments"):  # for its own command
    import httpx

__all__ = ["LONGEST_S", "HttpTransport"]

IDLE_S = 2.0
"""How long an idle connection is used again [s]: well below the 5 s after which the server closes it, since a request
that is sent while the server closes is lost."""

LONGEST_S = 90.0
"""The time that an answer to a large body may take besides the time of the upload [s]."""

SLOWEST = 65_536.0
"""The slowest upload that is waited for [B/s]."""

T = TypeVar("T")


class _Problem(msgspec.Struct, frozen=True):
    detail: str = ""
    title: str = ""
    code: str = ""
    field: str | None = None
    retry_after: float | None = None


class HttpTransport:
    """The requests of one player to one server. timeout_s: bounds each request [s]. token: the login, once there is
    one. transport: replaces the network in tests. Close it with ``aclose``."""

    def __init__(
        self,
        server_url: str,
        *,
        token: str | None = None,
        timeout_s: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.server_url = server_url
        self.token = token
        self._timeout_s = timeout_s
        self._http = httpx.AsyncClient(
            base_url=server_url,
            timeout=timeout_s,
            transport=transport,
            trust_env=not is_own_machine(server_url),
            verify=_tls_context(),
            limits=httpx.Limits(keepalive_expiry=IDLE_S),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def get(self, path: str, kind: type[T], params: dict[str, str] | None = None) -> T:
        """The answer of a GET, decoded."""
        return _decode(await self.request("GET", path, params=params), kind)

    async def post(
        self, path: str, kind: type[T], body: dict[str, Any], *, timeout_s: float | None = None
    ) -> T:
        """The answer of a POST, decoded. body: fields that are None are not sent. timeout_s: instead of the usual
        one [s]."""
        return _decode(await self.request("POST", path, body, timeout_s=timeout_s), kind)

    async def request(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        params: dict[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> bytes:
        """The body of an answer."""
        sent = None if body is None else {name: value for name, value in body.items() if value is not None}
        limit = timeout_s or self._timeout_s
        return (await self._exchange(method, path, limit, json=sent, params=params)).content

    async def get_tagged(self, path: str, tag: str) -> tuple[str, bytes] | None:
        """ETag and body of an answer; None if the client has the one with this tag."""
        headers = {"if-none-match": tag} if tag else {}
        answer = await self._exchange("GET", path, self._timeout_s, headers)
        return None if answer.status_code == 304 else (answer.headers.get("etag", ""), answer.content)

    async def send(
        self, method: str, path: str, query: dict[str, str], body: bytes | AsyncIterator[bytes], size: int = 0
    ) -> bytes:
        """Send a request whose body is not a JSON object. size: of a stream [B]."""
        headers = {"content-type": "application/octet-stream"} | (
            {"content-length": str(size)} if size else {}
        )
        limit = self._timeout_s + LONGEST_S + size / SLOWEST
        return (await self._exchange(method, path, limit, headers, params=query, content=body)).content

    async def _exchange(
        self, method: str, path: str, limit: float, headers: dict[str, str] | None = None, **sent: Any
    ) -> httpx.Response:
        """An answer within ``limit`` [s] that is no error; 304 is none."""
        headers = self._login() | (headers or {})
        try:
            async with asyncio.timeout(limit):
                answer = await self._http.request(method, path, headers=headers, timeout=limit, **sent)
        except (httpx.TransportError, TimeoutError) as error:
            raise self._unanswered(error) from None
        if answer.is_success or answer.status_code == 304:
            return answer
        raise _problem(answer)

    def _login(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"} if self.token else {}

    async def fetch(self, path: str, query: dict[str, str]) -> bytes | bytearray:
        """A body of megabytes, stored once: an httpx response keeps its body until the garbage collector frees it."""
        headers = self._login() | {
            "accept-encoding": "identity" if is_own_machine(self.server_url) else "gzip"
        }
        body = bytearray()
        try:
            async with asyncio.timeout(self._timeout_s):
                async with self._http.stream("GET", path, params=query, headers=headers) as answer:
                    if not answer.is_success:
                        await answer.aread()
                        raise _problem(answer)
                    async for piece in answer.aiter_bytes():
                        body += piece
        except (httpx.TransportError, TimeoutError) as error:
            raise self._unanswered(error) from None
        return body

    def _unanswered(self, error: Exception) -> Disconnected:
        return Disconnected(f"no answer from {self.server_url} ({str(error) or type(error).__name__})")


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """One context for all clients: to load the certificates takes tens of milliseconds."""
    return httpx.create_ssl_context()


def _decode(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"the server's answer does not follow the protocol: {error}") from None


def _problem(response: httpx.Response) -> LobbyError:
    try:
        problem = msgspec.json.decode(response.content, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        problem = _Problem(title=response.reason_phrase)
    message = problem.detail or problem.title or f"HTTP {response.status_code}"
    return error_of(
        problem.code or f"http_{response.status_code}",
        message,
        field=problem.field,
        status=response.status_code,
        retry_after=problem.retry_after,
    )
