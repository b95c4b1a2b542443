"""Only the person at this computer, with the token, sees anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from astrocast.errors import FormatError, InvalidValueError
from astrocast.explorer.server.access import Access, check_host
from astrocast.explorer.server.project import Project
from astrocast.explorer.server.workspace import Workspace

TOKEN = "a-token-of-the-tests"


@pytest.fixture
def stranger(bare: Path, serve: Any) -> Any:
    client = serve(Workspace(bare))
    client.cookies.clear()
    return client


@pytest.mark.parametrize(
    "path", ["/", "/api/start", "/static/js/main.js", "/openapi.json"]
)
def test_nothing_is_seen_without_the_token(stranger: Any, path: str) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 401
    assert "token" in answer.text


def test_the_token_becomes_a_cookie(stranger: Any) -> None:
    first = stranger.get(f"/?token={TOKEN}")
    assert first.status_code == 303
    assert first.headers["location"] == "/"
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert stranger.get("/").status_code == 200


def test_a_wrong_token_is_refused(stranger: Any) -> None:
    assert stranger.get("/?token=guess").status_code == 401


def test_another_name_for_this_address_is_refused(bare: Path, serve: Any) -> None:
    client = serve(Workspace(bare))
    answer = client.get("/api/start", headers={"host": "evil.example:8050"})
    assert answer.status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"x-astrocast": ""},
    ],
)
def test_changes_from_other_sites_are_refused(
    bare: Path, serve: Any, headers: dict[str, str]
) -> None:
    client = serve(Workspace(bare))
    answer = client.post("/api/projects/0/answers", json={}, headers=headers)
    assert answer.status_code == 403


def test_answers_load_nothing_from_elsewhere(bare: Path, serve: Any) -> None:
    policy = serve(Workspace(bare)).get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "example.org"])
def test_other_computers_need_a_token_of_some_length(host: str) -> None:
    with pytest.raises(InvalidValueError, match="--token"):
        check_host(host, None)
    with pytest.raises(InvalidValueError, match="16 characters"):
        check_host(host, "short")
    check_host(host, "long-enough-for-a-secret")


@pytest.mark.parametrize("token", ["", "with space", "a;b", "schlüssel", "x" * 300])
def test_a_token_that_no_cookie_can_contain_is_refused(token: str) -> None:
    with pytest.raises(InvalidValueError, match="--token"):
        check_host("127.0.0.1", token)


def test_a_root_that_is_not_a_folder_is_said(bare: Path, tmp_path: Path) -> None:
    for root in (tmp_path / "missing", bare):
        with pytest.raises(InvalidValueError, match=f"--root {root} is not a folder"):
            Workspace(bare, root=root)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_computer_needs_none(host: str) -> None:
    check_host(host, None)


@pytest.mark.parametrize(
    ("listens", "asked", "known"),
    [
        ("0.0.0.0", "192.168.1.4:8050", True),
        ("0.0.0.0", "evil.example:8050", False),
        ("lab.example", "lab.example:8050", True),
        ("lab.example", "evil.example:8050", False),
        ("127.0.0.1", "192.168.1.4:8050", False),
    ],
)
def test_a_server_for_others_answers_to_its_address_only(
    listens: str, asked: str, known: bool
) -> None:
    assert Access(listens, 8050).names(asked) == known


@pytest.mark.parametrize("relative", ["..", "../..", "/etc", "link/secret.npy"])
def test_the_root_is_not_left(bare: Path, tmp_path: Path, relative: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    np.save(outside / "secret.npy", np.zeros((5, 4, 4)))
    (root / "link").symlink_to(outside)
    workspace = Workspace(bare, root=root)
    with pytest.raises(InvalidValueError, match="outside"):
        workspace.inside(relative)


def test_without_a_root_nothing_is_browsed(bare: Path) -> None:
    with pytest.raises(InvalidValueError, match="--root"):
        Workspace(bare).listing()


def _external_storage(path: Path, secret: Path) -> None:
    with h5py.File(path, "w") as file:
        place = [(str(secret), 0, 200)]
        file.create_dataset("data/ch0", (10, 2, 5), np.uint16, external=place)


def _external_link(path: Path, secret: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data/ch0"] = h5py.ExternalLink(str(secret), "/data")


def _virtual(path: Path, secret: Path) -> None:
    layout = h5py.VirtualLayout((10, 2, 5), np.uint16)
    layout[:] = h5py.VirtualSource(str(secret), "data", (10, 2, 5))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("data/ch0", layout)


@pytest.mark.parametrize("make", [_external_storage, _external_link, _virtual])
def test_files_that_read_other_files_are_refused(tmp_path: Path, make: Any) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(200))
    make(tmp_path / "movie.h5", secret)
    with pytest.raises(FormatError, match=r"secret\.bin"):
        Project(tmp_path / "movie.h5")
