"""`correio serve`: a whole server in the foreground, its conversations on the screen, until Ctrl-C.

`owned_stack.py` starts and stops it, `stops.py` has what asks for its end; `feed.py` hears what is said, `events.py`
makes lines of it, and `complaints.py` finds what the services warn of. The options are the settings of `make up`,
from the one table that they have.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..language import Language, Text
from ..options import color_option, language_option
from ..output import no_output
from ..run_folder import NoStack, read_stack, run_option
from ..stack.complaints import Complaints
from ..stack.events import Event, Gaps, Look
from ..stack.owned_stack import OwnedStack, StackError, table
from ..stack.stops import Requests
from ..terminal import Paint, harmless_line

if TYPE_CHECKING:
    from ..stack.feed import Feed

# The settings that the command line has in a form of their own: the argument, and the option of all commands.
_OF_THEIR_OWN = ("USERS", "RUN")
_EX_FAILED = 1
# While it stops: how long nothing is said before it is asked whether it has ended.
_LAST_LOOK_MS = 50
# Between two looks into the logs, and the lines of one look that a screen has room for.
_LOOK_SECONDS = 1.0
_MOST_LINES = 20

_UP = Text(
    "Correio takes mail on {host} port {port}.\nUsers: {users}, mailboxes: {mailboxes}\n"
    "Send one from another terminal: correio. Ctrl-C stops the server.",
    "O Correio recebe mensagens em {host}, porta {port}.\nUsuários: {users}, caixas postais: {mailboxes}\n"
    "Envie uma de outro terminal: correio. Ctrl-C encerra o servidor.",
)
_WAITING = Text("Waiting for a connection.", "Aguardando conexão.")
_GATEWAY_GONE = Text("The gateway is away; it is being started again.", "O gateway caiu; está sendo reiniciado.")
_GATEWAY_BACK = Text("The gateway is back.", "O gateway voltou.")
_INTERRUPTED = Text("Interrupted; nothing was started.", "Interrompido; nada foi iniciado.")
_STOPPING = Text(
    "Stopping: mails under way can end. Ctrl-C once more waits for none.",
    "Encerrando: o que está em andamento pode terminar. Outro Ctrl-C não espera.",
)
_AT_ONCE = Text("Stopping at once.", "Encerrando já.")
_STOPPED = Text("Stopped; nothing is left running.", "Encerrado; nada continua rodando.")
_ENDED = Text("The server has been ended from elsewhere.", "O servidor foi encerrado por outro comando.")


class _Command(click.Command):
    """The command, with an option for each setting; the table is read only when somebody asks for these."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *_settings()]


def _settings() -> Iterator[click.Option]:
    # Without the services there is nothing to be set; the command itself says so.
    with suppress(StackError):
        for name, setting in table().items():
            if name not in _OF_THEIR_OWN and not setting.get("engine"):
                default = f", else {setting['default']}" if setting["default"] else ""
                about = f"{setting['what'][:1].upper()}{setting['what'][1:]}. [env {name}{default}]"
                yield click.Option([f"--{name.lower().replace('_', '-')}"], metavar="VALUE", help=about)


@click.command(
    name="serve",
    cls=_Command,
    epilog="Exit status: 0 after Ctrl-C, 1 it could not be started or was ended from elsewhere, 2 wrong usage, 4 its "
    "output was closed or full, 78 a setting or the users file is wrong.",
)
@click.argument("users", required=False, type=click.Path(path_type=Path))
@color_option
@language_option
@run_option
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    users: Path | None,
    paint: Paint,
    language: Language,
    run: Path,
    **settings: str | None,
) -> None:
    """Run a whole server here until Ctrl-C, and show each conversation as it happens.

    USERS is the file of its users, an address a line [env USERS, else users.txt]. Each has a mailbox, a text file.
    All that a running server needs is in the folder RUN; it belongs to the mailboxes, keep them together. What dies
    of the server is started again. When this command ends, however that happens, the server does, and no mail is
    lost.

    \b
    Examples:
      $ correio serve users.txt
      $ correio serve users.txt --port 2525 --domain mail.example.org
      $ correio serve --lang pt
    """
    if context.parent and (context.parent.params.get("host") or context.parent.params.get("port")):
        raise click.UsageError("Where the server is to listen is said behind the command: serve --bind --port")
    chosen = {name.upper(): value for name, value in settings.items() if value is not None}
    if users is not None:
        chosen["USERS"] = str(users)
    environment = {name: value for name, value in os.environ.items() if name != "BASE"}
    screen = Screen(paint, language)
    context.exit(_serve(OwnedStack(run, environment | chosen, chosen), screen))


class Screen:
    """What the person sees: the server's state, and the events of its feed."""

    def __init__(self, paint: Paint, language: Language) -> None:
        self._paint = paint
        self._language = language
        self._look = Look(paint, language)
        self._gaps = Gaps()
        # The sessions that are open; `_all` as long as none can be whose begin was not heard.
        self._open: set[str] = set()
        self._all = True
        # Whether it can still be that somebody connects.
        self._waits = True

    def say(self, text: Text, **values: object) -> None:
        """A word of our own."""
        click.echo(self._paint.hint(text.say(self._language, **values)), color=True)

    def farewell(self, text: Text) -> None:
        """The same where nobody may see it any more."""
        try:
            self.say(text)
        except OSError:
            self.nobody_sees()

    def nobody_sees(self) -> None:
        """The output is closed: what is still in its buffer, and all that follows, goes nowhere, and is no error."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def show(self, event: Event) -> None:
        """Its line, and that a connection is waited for where nobody has one any more."""
        if missed := self._gaps.before(event):
            click.echo(self._look.missed(missed), color=True)
            self._forget()
        session, kind = str(event.get("session", "")), event.get("event")
        if kind == "connected":
            self._open.add(session)
        elif self._all and session not in self._open:
            return  # the last words of who looked whether mail is taken
        line = self._look.line(event)
        if line is not None:
            click.echo(line, color=True)
        if kind == "closed":
            self._open.discard(session)
            if self._waits and not self._open:
                self.say(_WAITING)

    def stopping(self) -> None:
        """The server is about to end: nobody is waited for any more."""
        self._waits = False
        self.farewell(_STOPPING)

    def complain(self, lines: list[str]) -> None:
        """What the services warn of; of a flood, its end."""
        for line in lines[-_MOST_LINES:]:
            click.echo(self._paint.hint(f"! {harmless_line(line)}"), color=True)

    def change(self, *, gone: bool) -> None:
        """The gateway is gone, and its connections with it; or it is back."""
        self._forget()
        self.say(_GATEWAY_GONE if gone else _GATEWAY_BACK)

    def _forget(self) -> None:
        self._open.clear()
        self._all = False


def _serve(stack: OwnedStack, screen: Screen) -> int:
    with Requests() as requests:
        try:
            with requests.heard():
                stack.start()
        except StackError as error:
            click.echo(error, err=True)
            return error.status
        except KeyboardInterrupt:
            screen.farewell(_INTERRUPTED)
            return _EX_FAILED
        # Only what shows events needs ZeroMQ, which takes a moment to load.
        from ..stack.feed import Feed

        try:
            with Feed(stack.run) as feed:
                try:
                    with requests.heard():
                        _watch(stack, screen, feed)
                    screen.farewell(_ENDED)
                except KeyboardInterrupt:
                    return _stop(stack, screen, requests, partial(_see_out, stack, screen, feed))
        except NoStack as error:
            click.echo(error.format_message(), err=True)
        except OSError as error:
            screen.nobody_sees()
            trouble = no_output(error)
            trouble.show()
            return _stop(stack, screen, requests, stack.finish) or trouble.exit_code
        return _stop(stack, screen, requests, stack.finish) or _EX_FAILED


def _watch(stack: OwnedStack, screen: Screen, feed: Feed) -> None:
    """Show what happens until the stack ends."""
    from ..stack.feed import Change

    started = read_stack(stack.run)
    screen.say(
        _UP,
        host=started.host,
        port=started.port,
        users=_near(started.users),
        mailboxes=_near(started.mailboxes),
    )
    screen.say(_WAITING)
    complaints, looked = Complaints(stack.run), 0.0
    while not stack.ended():
        if time.monotonic() - looked >= _LOOK_SECONDS:
            looked = time.monotonic()
            screen.complain(list(complaints.read()))
        happened = feed.turn()
        if isinstance(happened, Change):
            screen.change(gone=happened is Change.GONE)
        elif happened is not None:
            screen.show(happened)


def _see_out(stack: OwnedStack, screen: Screen, feed: Feed) -> None:
    """Have the stack end, and show what is said in the mails that are still under way."""
    from ..stack.feed import Change

    stack.finish(0)
    try:
        # Once it has ended there may be more to show than one turn gives.
        while (happened := feed.turn(_LAST_LOOK_MS)) is not None or not stack.ended():
            if happened is not None and not isinstance(happened, Change):
                screen.show(happened)
    except OSError:
        screen.nobody_sees()
        stack.finish()


def _stop(stack: OwnedStack, screen: Screen, requests: Requests, finish: Callable[[], object]) -> int:
    """:param finish: returns when the stack has ended in order."""
    if not stack.ended():
        screen.stopping()
    try:
        with requests.heard():
            finish()
    except KeyboardInterrupt:
        screen.farewell(_AT_ONCE)
    try:
        stack.stop()
    except StackError as error:
        with suppress(OSError):
            click.echo(error, err=True)
        return error.status
    screen.farewell(_STOPPED)
    return 0


def _near(path: Path | None) -> str:
    """The path as a person here would type it."""
    if path is not None and path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    return str(path)
