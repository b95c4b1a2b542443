"""Start the server and the browser."""

from __future__ import annotations

import socket
import threading
import webbrowser
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from astrocast.errors import MissingExtraError, OutputError
from astrocast.explorer.server.access import Access, check_host

#: first port to try; the first free port is used
FIRST_PORT = 8050
_TRIES = 20


def explore(
    path: Path,
    *,
    loc: str | None = None,
    port: int | None = None,
    host: str = "127.0.0.1",
    token: str | None = None,
    root: Path | None = None,
    curator: str = "",
    browser: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Serve the explorer until it is interrupted.

    Parameters
    ----------
    path
        Recording, run directory or event store.
    loc
        Dataset inside the recording.
    port
        Port to listen on; None: the first free port from 8050 on.
    host, token
        Address of the server, and secret of the page. The default host can be reached
        from this computer only; another host needs a token.
    root
        Folder from which further recordings can be opened in the page.
    curator
        Name of the curator, under which decisions are stored.
    browser
        Open the page in the browser.
    say
        Called with each line of text for the user.

    Raises
    ------
    MissingExtraError
        The extra ``explorer`` is not installed.
    InvalidValueError
        Other computers could reach the server without a token.
    """
    check_host(host, token)
    try:
        import uvicorn

        from astrocast.explorer.server.app import create_app
        from astrocast.explorer.server.workspace import Workspace
    except ImportError as error:
        raise MissingExtraError(
            error.name or "fastapi", "explorer", "the explorer"
        ) from error
    workspace = Workspace(path, loc, root, curator)
    listening = listen(host, port)
    access = Access(host, listening.getsockname()[1])
    if token is not None:
        access = replace(access, token=token)
    app = create_app(workspace, access, warm=True)
    say(f"astrocast explorer: {access.url}")
    say("Stop it with Ctrl+C. Decisions and regions are saved at once.")
    if browser:
        threading.Timer(0.5, webbrowser.open, [access.url]).start()
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False
    )
    uvicorn.Server(config).run(sockets=[listening])


def listen(host: str, port: int | None) -> socket.socket:
    """Return a socket bound to ``port``; None: the first free port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    tried = [port] if port is not None else range(FIRST_PORT, FIRST_PORT + _TRIES)
    for number in tried:
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((host, number))
        except OSError:
            found.close()
            continue
        return found
    wanted = f"port {port}" if port is not None else f"ports {FIRST_PORT} and following"
    raise OutputError(f"{wanted} of {host} cannot be used; choose another with --port")
