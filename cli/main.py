"""The command ``tussle``. It names the subcommands and imports none of them until one is called: --help and
every start stay quick. This package alone may import all the others.
"""

from __future__ import annotations

import importlib

import click

from tussle.lobby.cpu_baseline import use_baseline

__all__ = ["main"]

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("tussle.cli.up", "Start everything: store, server, worker, bots."),
    "server": ("tussle.cli.processes", "Run one server process."),
    "worker": ("tussle.cli.processes", "Run one worker process: all, or storage, bridge, ..."),
    "bots": ("tussle.cli.bots", "Run bots that play."),
    "sessions": ("tussle.cli.sessions", "List waiting lobbies and running sessions, live."),
    "watch": ("tussle.cli.watch", "Watch one session in the terminal."),
    "fork": ("tussle.cli.fork", "Fork a session from a recorded tick, or show its forks."),
    "live": ("tussle.cli.live", "Follow the readings of sessions and other sources."),
    "spring": ("tussle.cli.spring", "Start a run of the spring-damper and follow it."),
    "redis": ("tussle.cli.redis", "Run Redis commands on the store, without redis-cli."),
    "admin": ("tussle.cli.admin", "Show and control sessions, players and servers, as an operator."),
    "limits": ("tussle.cli.admin", "Show the rate limits and who was refused, as an operator."),
    "operator": ("tussle.cli.operator", "Add, list and remove operators."),
    "seed": ("tussle.cli.processes", "Fill the catalogue (build_db.py)."),
    "migrate": ("tussle.cli.migrate", "Upgrade the stored data to this version."),
    "verify": ("tussle.cli.verify", "Simulate an archived session again and compare every tick."),
    "recordings": ("tussle.cli.recording_list", "List the recordings at RECORDINGS_URL."),
    "export": ("tussle.cli.export", "Write a recording as Zarr, VTK, glTF, a video, ..."),
    "simulate": ("tussle.cli.simulate", "Simulate a mesh or a scene, without a lobby."),
    "sweep": ("tussle.cli.sweep_runs", "Simulate a scene with many values of its parameters."),
}
"""Name -> module and line of help. The module has its only click command as ``command``, or several by their names."""


class _LazyGroup(click.Group):
    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        use_baseline()  # before the command's module imports numpy: click calls this before it calls main
        module = importlib.import_module(COMMANDS[name][0])
        command = getattr(module, "command", None) or getattr(module, name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tussle", prog_name="tussle")
@click.option("--called", hidden=True, help="How the user calls this command, for the hints that it prints.")
@click.pass_context
def main(context: click.Context, called: str | None) -> None:
    """Tussle: a multiplayer lobby and session server for shared soft-body physics.

    `tussle up` starts everything here and prints the address. Settings come from the environment;
    .env.example lists them.
    """
    context.obj = called or "tussle"
    if called:
        context.info_name = called  # in usage lines
