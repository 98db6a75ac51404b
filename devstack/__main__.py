"""`python -m devstack up|down|status|hold|resume|run|demo|manage`: the command line behind `bin/`."""

import argparse
import sys
from pathlib import Path

from devstack import places


def main(argv: list[str]) -> int:
    """Do what `argv` says; return the exit code."""
    if argv[:1] == ["demo"]:
        from devstack import demo  # it has options of its own, and needs what the other commands do not

        return demo.main(argv[1:])
    options = _parser().parse_args(argv)
    match options.command:
        case "up":
            from devstack import stack

            return stack.up(options.data, fresh=options.fresh, procfile=options.procfile)
        case "down":
            from devstack import stack

            return stack.down(options.data)
        case "status":
            from devstack import stack

            return stack.status(options.data)
        case "hold" | "resume":
            from devstack import holding

            return holding.main(options.command, options.data, options.name)
        case "run":
            from devstack import run

            return run.main(_after_dashes(options.words), options.data)
        case "check":
            from devstack import check

            return check.main()
        case "manage":
            from devstack import manage

            return manage.main(_after_dashes(options.words))
        case _:
            from devstack import supervise

            return supervise.main(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="devstack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start the stack in the background")
    up.add_argument("--fresh", action="store_true", help="forget the data first")
    up.add_argument("--procfile", type=_path, default=places.ROOT / "Procfile", help=argparse.SUPPRESS)
    hold = commands.add_parser("hold", help="stop one process and keep it stopped")
    resume = commands.add_parser("resume", help="let it run again")
    for command in (hold, resume):
        command.add_argument("name", metavar="NAME")
    for command in (
        up,
        hold,
        resume,
        commands.add_parser("down", help="stop it"),
        commands.add_parser("status", help="say what runs"),
    ):
        command.add_argument(
            "--data", type=_path, default=places.stack_dir(), help="the stack's folder (default: .stack)"
        )
    run = commands.add_parser("run", help="run a command with the servers behind it")
    run.add_argument("--data", type=_path, help="keep the servers' data in this folder")
    manage = commands.add_parser("manage", help="manage.py against the running stack")
    for command in (run, manage):
        command.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    commands.add_parser("check", help="everything that needs no server")
    supervise = commands.add_parser("supervise")
    supervise.add_argument("--data", type=_path, required=True)
    supervise.add_argument("--procfile", type=_path)
    supervise.add_argument("--set", action="append", default=[], type=lambda word: tuple(word.split("=", 1)))
    supervise.add_argument("--via", action="append", default=[], type=_port)
    return parser


def _after_dashes(words: list[str]) -> list[str]:
    return words[1:] if words[:1] == ["--"] else words


def _port(word: str) -> tuple[str, int]:
    name, _, number = word.partition("=")
    return name, int(number)


def _path(word: str) -> Path:
    return Path(word).absolute()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:  # while a command's modules are still being imported
        sys.exit(130)
