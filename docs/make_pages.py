"""Pages made from the code, so that they cannot say something else than the code does.
A hook of mkdocs.

Tutorials are scripts: comments are text, the rest is code. Parameters, event columns,
commands and classes are read from where they are declared."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

DOCS = Path(__file__).parent
#: modules whose public names make the API pages, in the order of the data
MODULES = (
    "astrocast.io",
    "astrocast.preparation",
    "astrocast.denoising",
    "astrocast.detection",
    "astrocast.analysis",
    "astrocast.plotting",
    "astrocast.simulation",
    "astrocast.errors",
)
TITLES = {"algorithms": "Algorithms", "tutorials": "Tutorials", "how-to": "How to"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    pages = {
        f"tutorials/{p.stem}.md": script_page(p.read_text("utf-8"))
        for p in sorted((DOCS / "tutorials").glob("*.py"))
    }
    pages["reference/parameters.md"] = parameters_page()
    pages["reference/event-columns.md"] = columns_page()
    pages["reference/command-line.md"] = commands_page()
    pages |= {
        f"reference/{name.partition('.')[2]}.md": module_page(name) for name in MODULES
    }
    sources = {
        file.src_uri: (DOCS / file.src_uri).read_text("utf-8")
        for file in files.documentation_pages()
    }
    for folder, title in TITLES.items():
        if f"{folder}/index.md" not in sources:
            inside = {
                uri: text
                for uri, text in (sources | pages).items()
                if Path(uri).parent.as_posix() == folder
            }
            pages[f"{folder}/index.md"] = index_page(title, inside)
    for uri, text in pages.items():
        files.append(File.generated(config, uri, content=text))
    return files


def script_page(source: str) -> str:
    """A script as a page: the docstring and whole-line comments at the left margin are
    text, the rest is code.
    """
    docstring = re.match(r'\s*"""(.*?)"""', source, re.DOTALL)
    if docstring is None:
        raise ValueError(
            "a tutorial begins with a docstring: its title, then what the reader will"
            " have done"
        )
    title, _, lead = docstring.group(1).strip().partition("\n")
    parts = [f"# {title.rstrip('.')}", lead.strip()]
    kind, block = "", []

    def close() -> None:
        text = "\n".join(block).strip("\n")
        if text:
            parts.append(text if kind == "text" else f"```python\n{text}\n```")
        block.clear()

    for line in source[docstring.end() :].splitlines():
        now = (
            "text"
            if re.match(r"#( |$)", line)
            else kind
            if not line.strip()
            else "code"
        )
        if now != kind:
            close()
            kind = now
        block.append(
            line.removeprefix("#").removeprefix(" ") if now == "text" else line
        )
    close()
    return "\n\n".join(part for part in parts if part) + "\n"


def index_page(title: str, pages: dict[str, str]) -> str:
    lines = [f"# {title}", ""]
    for uri, text in sorted(pages.items()):
        heading = re.search(r"^# (.+)$", text, re.MULTILINE)
        first = next(
            (
                p
                for p in re.split(r"\n\s*\n", text)
                if p.strip() and not re.match(r"[#!|`>-]", p.strip())
            ),
            "",
        )
        sentence = re.split(r"(?<=[.:])\s", " ".join(first.split()))[0].rstrip(":")
        sentence = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", sentence)
        lines.append(
            f"- [{heading.group(1) if heading else Path(uri).stem}]({Path(uri).name})."
            f" {sentence}"
        )
    return "\n".join(lines) + "\n"


def parameters_page() -> str:
    from astrocast.pipeline.configuration import parameter_rows
    from astrocast.settings.base import Settings

    lines = [
        "# Parameters",
        "",
        "Every parameter of every stage: its default, its unit, what it means.",
        "",
    ]
    package = importlib.import_module("astrocast.settings")
    modules = [
        importlib.import_module(f"astrocast.settings.{m.name}")
        for m in pkgutil.iter_modules(package.__path__)
    ]
    for module in modules:
        for name, model in inspect.getmembers(module, inspect.isclass):
            if (
                issubclass(model, Settings)
                and model is not Settings
                and model.__module__ == module.__name__
            ):
                lines += [f"## {name}", "", cell_free(inspect.getdoc(model) or ""), ""]
                lines += [
                    "| parameter | default | unit | meaning |",
                    "|---|---|---|---|",
                ]
                for row in parameter_rows(model):
                    lines.append(
                        f"| `{row.name}` | `{cell(row.default)}` | {row.unit or ''} |"
                        f" {cell(row.description)} |"
                    )
                lines.append("")
    return "\n".join(lines)


def columns_page() -> str:
    from astrocast.events.schema import COLUMNS, INDEX

    lines = [
        "# Columns of the event table",
        "",
        f"One row per event. The index `{INDEX}` is the event's number in the event map. x is the row, y the"
        " column, z the frame; `signal` is the unit of the recording that was detected on.",
        "",
        "| column | type | unit | meaning | from |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{c.name}` | {c.dtype} | {c.unit} | {cell(c.description)} | {c.source} |"
        for c in COLUMNS
    ]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    import typer

    from astrocast.cli.app import app

    group = typer.main.get_command(app)
    lines = ["# Command line", "", "`astrocast COMMAND --help` says the same.", ""]
    for name, command in sorted(getattr(group, "commands", {}).items()):
        with command.make_context(name, [], resilient_parsing=True) as context:
            usage = command.get_usage(context).removeprefix("Usage: ")
            rows = [p.get_help_record(context) for p in command.params]
            lines += [
                f"## astrocast {name}",
                "",
                cell_free(command.help or ""),
                "",
                "```text",
                f"astrocast {usage}",
                "```",
                "",
            ]
            lines += ["| option | meaning |", "|---|---|"]
            lines += [f"| `{cell(row[0])}` | {cell(row[1])} |" for row in rows if row]
            lines.append("")
    return "\n".join(lines)


def module_page(name: str) -> str:
    module = importlib.import_module(name)
    lines = [f"# {name}", "", markdown(inspect.getdoc(module) or ""), ""]
    public = getattr(module, "__all__", None) or [
        n
        for n, item in vars(module).items()
        if inspect.isclass(item) and item.__module__ == name
    ]
    for item_name in public:
        item = getattr(module, item_name)
        if not (inspect.isclass(item) or inspect.isfunction(item)):
            continue
        lines += [f"## {item_name}", "", *described(item_name, item)]
        if inspect.isclass(item) and not issubclass(item, Exception):
            for method_name, method in members(item):
                lines += [
                    f"### {item_name}.{method_name}",
                    "",
                    *described(method_name, method),
                ]
    return "\n".join(lines) + "\n"


def members(item: type) -> Iterator[tuple[str, object]]:
    for name, member in vars(item).items():
        if not name.startswith("_") and (
            inspect.isfunction(member) or isinstance(member, property | classmethod)
        ):
            yield name, member.__func__ if isinstance(member, classmethod) else member


def described(name: str, item: object) -> list[str]:
    text = markdown(inspect.getdoc(item) or "")
    if isinstance(item, property) or (
        inspect.isclass(item) and issubclass(item, Exception)
    ):
        return [text, ""]
    return ["```python", f"{name}{signature(item)}", "```", "", text, ""]


def signature(item: object) -> str:
    """The signature without the quotes of postponed annotations, a parameter per line
    where it is long.
    """
    found = inspect.signature(item)  # type: ignore[arg-type]
    line = re.sub(r"(: |-> )'([^']+)'", r"\1\2", str(found))
    if len(line) < 90:
        return line
    parts = [re.sub(r": '([^']+)'", r": \1", str(p)) for p in found.parameters.values()]
    star = next(
        (
            i
            for i, p in enumerate(found.parameters.values())
            if p.kind is p.KEYWORD_ONLY
        ),
        None,
    )
    if star is not None and not any(
        p.kind is p.VAR_POSITIONAL for p in found.parameters.values()
    ):
        parts.insert(star, "*")
    end = line[line.rindex(") -> ") :] if ") -> " in line else ")"
    return "(\n    " + ",\n    ".join(parts) + ",\n" + end


def markdown(docstring: str) -> str:
    """A numpydoc docstring as Markdown: sections as bold lines, parameters as a list,
    examples as code.
    """
    chunks = re.split(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", docstring, flags=re.MULTILINE)
    out = [prose(chunks[0])]
    for heading, body in zip(chunks[1::2], chunks[2::2], strict=True):
        out.append(f"**{heading}**")
        if heading == "Examples":
            out.append(f"```python\n{body.strip()}\n```")
        elif heading in (
            "Parameters",
            "Returns",
            "Raises",
            "Yields",
            "Attributes",
            "Warns",
        ):
            out.append(definitions(body))
        else:
            out.append(prose(body))
    return "\n\n".join(part for part in out if part.strip())


def definitions(body: str) -> str:
    items = re.split(r"\n(?=\S)", body.strip("\n"))
    lines = []
    for item in items:
        term, _, text = item.partition("\n")
        lines.append(
            f"- `{term.strip()}`"
            + (f": {cell_free(inspect.cleandoc(text))}" if text.strip() else "")
        )
    return "\n".join(lines)


def prose(text: str) -> str:
    """Text of a docstring: double backticks are code; doctests in it become code
    blocks.
    """
    parts = re.split(
        r"((?:^>>> .*\n?(?:^(?!>>> |\n).+\n?)*)+)",
        text.strip() + "\n",
        flags=re.MULTILINE,
    )
    done = [
        f"```python\n{p.strip()}\n```" if p.startswith(">>>") else escaped(p).strip()
        for p in parts
    ]
    return "\n\n".join(part for part in done if part)


def escaped(text: str) -> str:
    text = text.replace("``", "`")
    # names in single backticks stay code; nothing in a docstring is HTML
    return re.sub(r"<(?=[A-Za-z/!])", "&lt;", text)


def cell(value: object) -> str:
    """Text that fits into one cell of a table."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("``", "`")


def cell_free(text: str) -> str:
    return " ".join(escaped(text).split())
