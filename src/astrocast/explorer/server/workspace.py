"""The open projects of the server, and the folder that it may read."""

from __future__ import annotations

import threading
from pathlib import Path

from astrocast.errors import DatasetNotFoundError, InvalidValueError
from astrocast.explorer.server.project import Project
from astrocast.io.registry import find_format
from astrocast.io.stores.curation import check_curator
from astrocast.pipeline.directory import LIVE, RUN_FILE
from astrocast.pipeline.movies import find_movies


class Workspace:
    """Open projects by name; each tab of the browser can show another one.

    Parameters
    ----------
    path
        Path given at the start.
    loc
        Dataset inside it.
    root
        Folder from which recordings can be opened in the page. None: only results of
        this server can be opened.
    curator
        Name of the curator whose decisions are shown and written.
    """

    def __init__(
        self,
        path: Path,
        loc: str | None = None,
        root: Path | None = None,
        curator: str = "",
    ) -> None:
        if root is not None and not root.is_dir():
            raise InvalidValueError(
                f"--root {root} is not a folder; give the folder whose recordings may"
                " be opened in the page"
            )
        self.root = root.resolve() if root is not None else None
        check_curator(curator)
        self.loc, self.curator = loc, curator
        self._projects: dict[str, Project] = {}
        self._lock = threading.Lock()
        is_live = (path / LIVE / "state.json").is_file()
        #: folder of the live analysis, or None
        self.live = path / LIVE if is_live else None
        is_only_live = is_live and not find_movies(path).exists()
        #: name of the first project; empty if there is only a live analysis
        self.start = "" if is_only_live else self._add(path, loc)

    def _add(self, path: Path, loc: str | None = None) -> str:
        wanted = path.resolve()
        with self._lock:
            for name, project in self._projects.items():
                if project.place.given.resolve() == wanted:
                    return name
            name = str(len(self._projects))
            self._projects[name] = Project(path, loc, self.curator)
            return name

    def project(self, name: str) -> Project:
        """Return an opened project."""
        if name not in self._projects:
            raise DatasetNotFoundError(
                "this recording is no longer open; go back to the first page"
            )
        return self._projects[name]

    def open_result(self, path: Path) -> str:
        """Open a result that this server computed; return its name."""
        return self._add(path)

    def open_in_root(self, relative: str) -> str:
        """Open the recording or run at a path below the root; return its name."""
        return self._add(self.inside(relative))

    def inside(self, relative: str) -> Path:
        """Return a path below the root.

        Raises
        ------
        InvalidValueError
            No root was given, or the path is outside of it (links are followed).
        """
        if self.root is None:
            raise InvalidValueError(
                "no folder can be browsed; start the explorer with --root FOLDER"
            )
        path = (self.root / relative).resolve()
        if path != self.root and self.root not in path.parents:
            raise InvalidValueError(f"{relative!r} is outside the folder of --root")
        return path

    def listing(self, relative: str = "") -> list[dict[str, str]]:
        """Return the recordings and folders in a folder below the root."""
        folder = self.inside(relative)
        if not folder.is_dir():
            raise InvalidValueError(f"{relative!r} is not a folder")
        found = []
        for path in sorted(folder.iterdir(), key=lambda p: p.name.lower()):
            kind = _kind(path)
            if kind and not path.name.startswith("."):
                where = str(path.relative_to(self.root or folder))
                found.append({"name": path.name, "path": where, "kind": kind})
        return found

    def close(self) -> None:
        """Close everything."""
        for project in self._projects.values():
            project.close()

    def release(self) -> None:
        """Close files, so that another process can write them."""
        for project in self._projects.values():
            project.release()


def _kind(path: Path) -> str:
    if path.is_dir():
        if (path / RUN_FILE).is_file():
            return "run"
        known = find_format(path)
        return "recording" if known is not None and known.folder else "folder"
    return "recording" if find_format(path) is not None else ""
