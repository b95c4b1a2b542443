"""``astrocast``: the command line.

Each command calls functions of other folders; an error becomes one message.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from astrocast import __version__
from astrocast.cli.commands.analyze import analyze
from astrocast.cli.commands.batch import batch
from astrocast.cli.commands.check import check
from astrocast.cli.commands.convert import convert
from astrocast.cli.commands.delta import delta
from astrocast.cli.commands.demo import demo
from astrocast.cli.commands.denoise import denoise
from astrocast.cli.commands.detect import detect
from astrocast.cli.commands.doctor import doctor
from astrocast.cli.commands.explore import explore
from astrocast.cli.commands.export import export, view
from astrocast.cli.commands.info import info
from astrocast.cli.commands.motion import motion
from astrocast.cli.commands.parameters import parameters
from astrocast.cli.commands.report import report
from astrocast.cli.commands.run import run
from astrocast.cli.commands.simulate import simulate
from astrocast.cli.commands.suggest import suggest
from astrocast.cli.commands.watch import watch
from astrocast.errors import AstrocastError
from astrocast.runtime.memory import limiting_memory, share_freed_memory

#: options that may stand anywhere in a command
_ANYWHERE = ("--debug", "--verbose", "-v", "--quiet", "-q")
USAGE_ERROR, INTERRUPTED, UNEXPECTED = 2, 130, 1
GO_ON = "interrupted; run the same command again to continue"

app = typer.Typer(
    name="astrocast",
    help="From a fluorescence movie of astrocytes to a table of calcium events.",
    add_completion=True,
    pretty_exceptions_enable=False,
)
COMMANDS: tuple[Callable[..., None], ...] = (
    run,
    watch,
    batch,
    convert,
    motion,
    denoise,
    delta,
    detect,
    suggest,
    report,
    explore,
    export,
    view,
    demo,
    simulate,
    info,
    check,
    doctor,
    parameters,
)
for _command in COMMANDS:
    app.command()(_command)


app.add_typer(analyze)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"astrocast {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print more messages.")
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Print only results, warnings and errors."),
    ] = False,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory",
            help="Most memory to use, for example 1GB: blocks of frames become"
            " smaller. Can also be set with the variable ASTROCAST_MEMORY.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """From a fluorescence movie of astrocytes to a table of calcium events."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        return
    context.with_resource(limiting_memory(memory))
    share_freed_memory()
    # set the level of the handler: every public class sets the level of its own logger
    level = (
        logging.DEBUG
        if debug or verbose
        else logging.WARNING
        if quiet
        else logging.INFO
    )
    logging.basicConfig(
        level=logging.WARNING, format="%(message)s", stream=sys.stderr, force=True
    )
    logging.getLogger().handlers[0].setLevel(level)
    logging.getLogger("astrocast").setLevel(level)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: done; 1: a fault of astrocast; 2: the command or the input is wrong; 130:
    interrupted.
    """
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    words = _options_first(words)
    try:
        result = app(args=words, standalone_mode=False)
    except AstrocastError as error:
        return _complain(str(error), USAGE_ERROR, debug)
    except (FileNotFoundError, PermissionError, IsADirectoryError, OSError) as error:
        return _complain(
            f"{error.strerror or error}: {error.filename or ''}".rstrip(": "),
            USAGE_ERROR,
            debug,
        )
    except KeyboardInterrupt:
        return _complain(GO_ON, INTERRUPTED, False)
    except MemoryError as error:
        return _complain(
            f"this computer does not have enough memory: {error}. Close other programs,"
            " or make the recording smaller (conversion.rescale, conversion.z_slice)",
            USAGE_ERROR,
            debug,
        )
    except typer.Abort:
        return _complain("aborted", INTERRUPTED, False)
    except Exception as error:  # noqa: BLE001 - the user gets one message; --debug shows the traceback
        # click raises these for a wrong command or option
        if hasattr(error, "exit_code") and hasattr(error, "format_message"):
            message = error.format_message()
            message += _list_commands(words, message)
            return _complain(message, int(error.exit_code), debug)
        hint = (
            "this is a fault of astrocast; run the command again with --debug and"
            " report the output"
        )
        return _complain(
            f"unexpected {type(error).__name__}: {error} ({hint})", UNEXPECTED, debug
        )
    if result == INTERRUPTED:  # typer turns Ctrl-C into this code without a message
        return _complain(GO_ON, INTERRUPTED, False)
    return result if isinstance(result, int) else 0


def _options_first(words: list[str]) -> list[str]:
    """Return the words with the options of all commands in front.

    They are understood wherever they stand.
    """
    first, rest = [], list(words)
    while "--memory" in rest:
        at = rest.index("--memory")
        if rest[at + 1 :] == []:  # without a size: click says so
            return ["--memory"]
        first += rest[at : at + 2]
        del rest[at : at + 2]
    anywhere = [w for w in rest if w in _ANYWHERE or w.startswith("--memory=")]
    return first + anywhere + [w for w in rest if w not in anywhere]


def _list_commands(words: list[str], message: str) -> str:
    """Return the list of commands if the first word is not a command, else ''.

    Also '' if click suggests a similar command.
    """
    names = [command.__name__.replace("_", "-") for command in COMMANDS]
    names.append(str(analyze.info.name))
    given = next((w for w in words if not w.startswith("-")), "")
    if not given or given in names or "Did you mean" in message:
        return ""
    return f" The commands are {', '.join(names)}"


def _complain(message: str, code: int, debug: bool) -> int:
    if debug and sys.exc_info()[0] is not None:
        import traceback

        traceback.print_exc()
    print(f"error: {message}", file=sys.stderr)  # noqa: T201 - this is the command line
    return code


def script() -> None:
    """Entry point of the installed command."""
    sys.exit(main())
