"""Show the notebooks, with their stored outputs, as pages.

A Sphinx extension. The pages are written into ``docs/auto_notebooks`` before the build
and are not kept in the repository.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1]
TARGET = DOCS / "auto_notebooks"


def setup(app: Any) -> dict[str, bool]:
    """Write the pages when Sphinx begins."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}


def write_pages(app: Any) -> None:
    """Write a page for each notebook, and their list."""
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir()
    notebooks = sorted((DOCS / "notebooks").glob("*.ipynb"))
    for path in notebooks:
        shutil.copy(path, TARGET / path.name)
        (TARGET / f"{path.stem}.md").write_text(page_of(path), encoding="utf-8")
    lines = [
        "# Notebooks",
        "",
        "Three notebooks to start from: download one, put your own recording in, change"
        " what you like. They are run by the tests.",
        "",
        "```{toctree}",
        ":maxdepth: 1",
        "",
        *(path.stem for path in reversed(notebooks)),
        "```",
    ]
    (TARGET / "index.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def page_of(path: Path) -> str:
    """Return a notebook as Markdown; its pictures are written beside the page."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    link = f"{{download}}`Download this notebook <{path.name}>`"
    lines = []
    pictures = 0
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            lines += [source, ""]
            if link and source.startswith("# "):
                lines += [link, ""]
                link = ""
            continue
        lines += ["```python", source, "```", ""]
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{path.stem}_{pictures}.png"
                (TARGET / name).write_bytes(base64.b64decode(data["image/png"]))
                pictures += 1
                lines += [f"![output of the cell above]({name})", ""]
            elif "text/html" in data:
                lines += ["```{raw} html", clean_table("".join(data["text/html"]))]
                lines += ["```", ""]
            else:
                text = "".join(output.get("text", data.get("text/plain", [])))
                lines += ["```text", text.rstrip(), "```", ""]
    return "\n".join(lines)


def clean_table(html: str) -> str:
    """Return a table of pandas without its style sheet, in the style of the pages."""
    html = re.sub(r"<style scoped>.*?</style>", "", html, flags=re.DOTALL)
    html = html.replace(' style="text-align: right;"', "")
    table = html.replace('border="1" class="dataframe"', 'class="table"')
    return "\n".join(line for line in table.splitlines() if line.strip())
