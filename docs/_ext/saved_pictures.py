"""Show each picture that a tutorial saves below the step that saved it.

An image scraper of sphinx-gallery. The figures of this package are not known to
pyplot, so the scraper that asks pyplot would miss them.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst


class SavedPictures:
    """Copy the PNG files that are new in the folder of the tutorials."""

    def __init__(self) -> None:
        self.shown: set[tuple[str, str]] = set()

    def __repr__(self) -> str:
        """Return the same text in each build, so that nothing is built anew."""
        return "SavedPictures()"

    def __call__(
        self, block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]
    ) -> str:
        """Return the directive that shows the new pictures of one step."""
        script = Path(block_vars["src_file"])
        names = []
        for picture in sorted(script.parent.glob("*.png"), key=when_written):
            key = (script.name, f"{picture.name} {when_written(picture)}")
            if key in self.shown:
                continue
            self.shown.add(key)
            target = block_vars["image_path_iterator"].next()
            shutil.move(picture, target)
            names.append(target)
        return figure_rst(names, gallery_conf["src_dir"])


def empty_folder(gallery_conf: dict[str, Any], name: str) -> None:
    """Remove what an earlier tutorial wrote: each begins in an empty folder."""
    for folder in gallery_conf["examples_dirs"]:
        for path in (Path(gallery_conf["src_dir"]) / folder).iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.suffix not in (".py", ".rst"):
                path.unlink()


def when_written(path: Path) -> int:
    """Return the time of the last change in nanoseconds."""
    return path.stat().st_mtime_ns


def number_of(name: str) -> int:
    """Return the number in ``plot_<number>_<name>.py``: the order of the tutorials."""
    return int(name.split("_")[1])
