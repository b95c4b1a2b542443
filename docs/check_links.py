"""Follow every link of the built pages that leads to another page, file or heading.

``python docs/check_links.py [FOLDER]`` prints each link that leads nowhere, and each
page that loads something from another place. Nothing is fetched from the network.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

BUILT = Path(__file__).parent / "_build" / "html"
#: attributes by which a page loads or links something
SOURCES = {"href", "src", "data", "poster"}


class Page(HTMLParser):
    """Links, names and loaded files of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what a tag names, links to and loads."""
        values = dict(attrs)
        self.names |= {v for k in ("id", "name") if (v := values.get(k))}
        for key in SOURCES & set(values):
            target = values[key] or ""
            is_link = tag == "a" or values.get("rel") in ("canonical", "search")
            (self.links if is_link else self.loaded).append(target)
            if not is_link:
                self.links.append(target)


def check(folder: Path) -> list[str]:
    """Return what is wrong with the links of all pages below a folder."""
    pages = {
        p.resolve(): Page(p.read_text("utf-8"))
        for p in sorted(folder.rglob("*.html"))
        if "_static" not in p.parts  # templates of the theme
    }
    wrong = []
    for path, page in pages.items():
        where = path.relative_to(folder.resolve())
        wrong += [
            f"{where}: loads {target} from elsewhere"
            for target in page.loaded
            if urlsplit(target).scheme in ("http", "https") or target.startswith("//")
        ]
        for target in dict.fromkeys(page.links):
            problem = follow(target, path, page, pages)
            wrong += [f"{where}: {target}: {problem}"] if problem else []
    for sheet in folder.rglob("*.css"):
        for target in re.findall(r"url\(\s*['\"]?(https?:[^'\")]+)", sheet.read_text()):
            wrong.append(f"{sheet.relative_to(folder)}: loads {target} from elsewhere")
    return wrong


def follow(target: str, path: Path, page: Page, pages: dict[Path, Page]) -> str | None:
    """Return why a link of a page leads nowhere, None where it leads somewhere."""
    parts = urlsplit(target)
    if parts.scheme or target.startswith("//") or not target:
        return None
    file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not file.exists():
        return f"{file.name} does not exist"
    name = unquote(parts.fragment)
    there = pages.get(file, page if file == path else None)
    if name and there is not None and name not in there.names:
        return f"the page has no heading or place {name!r}"
    return None


def main() -> int:
    """Print what is wrong; return 0 where nothing is."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else BUILT
    wrong = check(folder)
    print("\n".join(wrong) or f"all links of {folder} lead somewhere")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
