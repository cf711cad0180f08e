"""`correio wait`: block until a mail is in a mailbox file, then print it; mailbox/waiting.py does the work."""

from __future__ import annotations

import re
from pathlib import Path

import click

from ..mailbox.showing import render, there_is
from ..mailbox.waiting import Seen, WantedMail, wait_for
from ..options import complete_address, json_option, mailboxes_option
from ..output import write_json
from ..pattern import Pattern

EXIT_TIMED_OUT = 1


class NoSuchMail(click.ClickException):
    """No such mail came in time."""

    exit_code = EXIT_TIMED_OUT


class Seconds(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.3 only
    """A time such as 5, 0.5, 5s, 200ms, 2m; gives seconds."""

    name = "seconds"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m)?", str(value), re.ASCII)
        if found is None:
            self.fail(f"{value!r} is no time, such as 5, 0.5, 200ms or 2m", param, ctx)
        return float(found[1]) * {"ms": 0.001, "s": 1, "m": 60, None: 1}[found[2]]


@click.command(
    name="wait",
    epilog="Exit status: 0 the mail is there and was printed, 1 it did not come in time or the mailbox cannot be "
    "read, 2 wrong usage.",
)
@click.option(
    "--to",
    "address",
    required=True,
    metavar="ADDRESS",
    shell_complete=complete_address,
    help="Who it was sent to; user+tag@domain and addresses that a *@domain catches have their mail found as well.",
)
@click.option("--subject", type=Pattern(), metavar="REGEX", help="Found in the subject; (?i) ignores letter case.")
@click.option("--from", "sender", default="", metavar="ADDRESS", help="The sender, of the header or the envelope.")
@click.option("--after", default="", metavar="ID", help="Only mail behind the one with this delivery id.")
@click.option("--new", is_flag=True, help="Only mail that comes from now on; else what is there counts too.")
@click.option("--timeout", type=Seconds(), default="30", metavar="TIME", help="Such as 5, 200ms, 2m. [30]")
@mailboxes_option
@json_option
def command(
    *,
    address: str,
    subject: re.Pattern[str] | None,
    sender: str,
    after: str,
    new: bool,
    timeout: float,
    mailboxes: Path,
    as_json: bool,
) -> None:
    """Wait for a mail and print it.

    Returns as soon as the mail is in the mailbox, at once if it is there already: a mail that was faster than this
    command is not missed. It sleeps until the mailbox changes, so waiting long costs nothing.

    \b
    Examples:
      $ correio wait --to ana@example.org --timeout 5
      $ correio wait --to ana@example.org --subject 'Reset .* password' --from shop@example.net
      $ correio wait --to ana@example.org --after "$id" --json | jq -r .text
    """
    wanted = WantedMail(subject, sender, after, new)
    seen = Seen()
    mail = wait_for(mailboxes, address, wanted, timeout, seen)
    if mail is None:
        raise NoSuchMail(f"No such mail for {address} within {timeout:g} s. {there_is(mailboxes, address, seen)}")
    if as_json:
        write_json(mail.as_json())
    else:
        click.echo(render(mail))
