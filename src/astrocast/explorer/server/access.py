"""Access control of the server: one token, one host, one origin."""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from astrocast.errors import InvalidValueError

#: the page loads nothing from other servers and is not shown inside other pages
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:;"
        " style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
_SAFE = ("GET", "HEAD")
#: characters that need no escape in an address or a cookie
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,200}")


@dataclass(frozen=True)
class Access:
    """Address and token of the server; requests are checked against them.

    Parameters
    ----------
    host, port
        Address on which the server listens.
    token
        Secret that requests must contain; random by default.
    """

    host: str = "127.0.0.1"
    port: int = 8050
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def url(self) -> str:
        """Return the address to open, with the token."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{name}:{self.port}/?{urlencode({'token': self.token})}"

    @property
    def cookie(self) -> str:
        """Return the name of the cookie.

        It contains the port, because servers on other ports share the cookies.
        """
        return f"astrocast_{self.port}"

    def knows(self, token: str | None) -> bool:
        """Return whether ``token`` is the token of this server."""
        return token is not None and hmac.compare_digest(
            token.encode(), self.token.encode()
        )

    def names(self, host: str) -> bool:
        """Return whether a Host header names this server.

        This protects against sites whose name was redirected to this address.
        """
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if is_loopback(self.host):
            return name == "localhost" or is_loopback(name)
        # other computers use an address, or the name given at the start
        return name == self.host or _is_address(name)


def is_loopback(host: str) -> bool:
    """Return whether only this computer can reach ``host``.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def check_host(host: str, token: str | None) -> None:
    """Raise an error if the token does not protect a server at this address.

    Raises
    ------
    InvalidValueError
        The token is empty or contains characters that an address or a cookie cannot
        contain; or other computers can reach the server, and the token has fewer than
        16 characters.
    """
    if token is not None and _TOKEN.fullmatch(token) is None:
        raise InvalidValueError(
            f"--token {token!r} cannot be used: choose 1 to 200 letters, digits, - or _"
        )
    if not is_loopback(host) and (token is None or len(token) < 16):
        raise InvalidValueError(
            f"with --host {host} other computers can reach the explorer; --token with a"
            " secret of at least 16 characters is needed. Note that the traffic is not"
            " encrypted: an SSH tunnel to the default host is safer"
        )


class AccessCheck:
    """ASGI middleware: rejects requests without token, or from other hosts or origins.

    The first request has the token in its address; the server then sets a cookie.
    """

    def __init__(self, app: Any, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no web sockets here
        headers = {
            k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]
        }
        query = parse_qs(scope["query_string"].decode("latin-1"))
        given = (query.get("token") or [None])[0]
        problem = self._problem(scope["method"], headers, given)
        if problem is not None:
            await _answer(send, *problem)
        elif scope["path"] == "/" and given is not None:
            await _answer(send, 303, "", self._exchange(query))
        else:
            await self.app(scope, receive, _with_headers(send))

    def _problem(
        self, method: str, headers: dict[str, str], given: str | None
    ) -> tuple[int, str] | None:
        if not self.access.names(headers.get("host", "")):
            return 421, "The host name of the request is not the name of this server."
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            return 403, "Requests from other sites are refused."
        site = headers.get("sec-fetch-site", "none")
        if site not in ("none", "same-origin") and method not in _SAFE:
            return 403, "Requests from other sites are refused."
        kept = SimpleCookie(headers.get("cookie", "")).get(self.access.cookie)
        if not (
            self.access.knows(given) or self.access.knows(kept.value if kept else None)
        ):
            return 401, (
                "The token is missing, or it is from an earlier start. Open the address"
                " that `astrocast explore` printed."
            )
        if method not in _SAFE and headers.get("x-astrocast") != "1":
            return 403, "Changes are accepted only from the page of the explorer."
        return None

    def _exchange(self, query: dict[str, list[str]]) -> dict[str, str]:
        rest = {k: v for k, v in query.items() if k != "token"}
        where = "/" + (f"?{urlencode(rest, doseq=True)}" if rest else "")
        cookie = (
            f"{self.access.cookie}={self.access.token}; HttpOnly; SameSite=Strict;"
            " Path=/"
        )
        return {"location": where, "set-cookie": cookie}


async def _answer(
    send: Callable[[Any], Awaitable[None]],
    status: int,
    text: str,
    more: dict[str, str] | None = None,
) -> None:
    headers = {"content-type": "text/plain; charset=utf-8", **HEADERS, **(more or {})}
    listed = [(k.encode(), v.encode()) for k, v in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": listed})
    await send({"type": "http.response.body", "body": text.encode()})


def _with_headers(send: Callable[[Any], Awaitable[None]]) -> Any:
    async def add(message: Any) -> None:
        if message["type"] == "http.response.start":
            extra = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
            message["headers"] = [*message.get("headers", []), *extra]
        await send(message)

    return add
