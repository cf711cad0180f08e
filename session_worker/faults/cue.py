"""Failures on cue: what a client shall see go wrong, so that its own errors can be tried (setting FAULTS=on).

Theory of operation. A command is served as always; what would have refused it does. Then the rules of its stage are
looked at, those of FAULT_RULES and the words of recipients, and what is due takes the place of the reply, holds it
back, or closes the connection instead. A command that fails on cue has not happened: the session is as it was before.
At the end of data the rules come first, so that a mail that fails on cue is stored nowhere.

Nothing is remembered here. How often a rule was met and which words a transaction has are in the session's state, and
chance is a hash of (seed, rule, number of the connection, how often the rule was met): a step that is run twice gives
the same, and connections that come in the same order meet the same failures. Pausing, closing and logging are the
gateway's: a turn's `next` says what (`wire.messages.Injected`).

Gives: `Faults`, whose `connected`, `command` and `end` are each around what they are given. Fails: as that does.
Limits: no rule at rcpt is for a bare <postmaster> from <>: the question whether mail is taken. `_MAX_WORDS` words in
a transaction; a word beyond them is a recipient like any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from mail.ids import number_of
from session_worker.dialogue import transaction
from session_worker.dialogue.replies import Reply
from session_worker.dialogue.state import Session, Transaction
from session_worker.dialogue.turn import Command, Context, Talk, Turn
from session_worker.faults import rules as fault_rules
from session_worker.faults.rules import Delay, Drop, Fail, Rule
from wire.messages import Body, Close, Discard, Injected, Lookup, ReadLines
from wire.records import Record, replace

# More than a test can want, and a bound for the state.
_MAX_WORDS = 16
# The store gives a mailbox for it whoever the users are.
_POSTMASTER = Lookup("postmaster", "")


class _Due(Record):
    """What is to go wrong now: for so long, and then this; `met` is the session's count for each rule after it."""

    met: tuple[int, ...]
    delay: int
    action: Fail | Drop | None
    what: tuple[str, ...]


class Faults(Record):
    """What is to fail on cue: the rules of FAULT_RULES, and FAULT_SEED. The dialogue asks it at each turn."""

    rules: tuple[Rule, ...] = ()
    seed: int = 0

    def connected(self, context: Context, greeting: Turn) -> Turn:
        """The greeting of a new session."""
        turn = _apply(_due(self, context, "connect"), context.session, greeting)
        if isinstance(turn.next, Injected) and turn.reply is not greeting.reply:
            # A client that was refused has nothing more to say (RFC 5321 section 3.1).
            return replace(turn, next=replace(turn.next, then=Close()))
        return turn

    def command(self, context: Context, command: Command, serve: Callable[[Context, Command], Talk]) -> Talk:
        """One command, served by `serve`."""
        mail = context.session.transaction
        stage = "helo" if command.verb == "EHLO" else command.verb.lower()
        if command.verb != "RCPT" or mail is None:
            turn = yield from serve(context, command)
            sender = _sender(turn.session) if stage == "mail" else _sender(context.session)
            to, words = (mail.addresses, mail.words) if mail else ((), ())
            return _apply(_due(self, context, stage, sender, to, words), context.session, turn)
        wanted = transaction.rcpt(context.policy, command, utf8=mail.utf8)
        rule = fault_rules.word(wanted.local)
        talk = serve(context, command)
        turn = yield from (_to_postmaster(talk) if rule and "+" not in wanted.local else talk)
        words = ()
        if rule is not None:
            words = (wanted.local,)
            turn = replace(turn, session=_with_word(turn.session, wanted.local))
        if not mail.sender and wanted.local.lower() == "postmaster" and not wanted.domain:
            # So `make up`, the plugin and `correio status` ask whether mail is taken: a rule for all must not say no.
            return turn
        return _apply(_due(self, context, stage, mail.sender, (wanted.given,), words), context.session, turn)

    def end(self, context: Context, body: Body, serve: Callable[[Context, Body], Talk]) -> Talk:
        """The end of data, served by `serve`."""
        mail = context.session.transaction
        if mail is None:
            return (yield from serve(context, body))
        about = (mail.sender, mail.addresses, mail.words)
        before = _due(self, context, "end", *about)
        if before.action is not None:
            if mail.staged:
                yield Discard(context.delivery)
            over = replace(context.session, transaction=None)
            return _apply(before, over, Turn(over, None))
        turn = yield from serve(context, body)
        turn = _apply(before, context.session, turn)
        if turn.reply is None or turn.reply.code != 250:
            return turn
        after = _due(self, replace(context, session=turn.session), "250", *about)
        return _apply(after, turn.session, turn)


def _due(
    faults: Faults,
    context: Context,
    stage: str,
    sender: str = "",
    recipients: Iterable[str] = (),
    words: Iterable[str] = (),
) -> _Due:
    met = list(context.session.met) + [0] * (len(faults.rules) - len(context.session.met))
    # FAULT_RULES may have been shorter before a restart; counts beyond it are of no rule.
    connection = number_of(context.session_id)
    due = [rule for word in words if (rule := fault_rules.word(word)) is not None and rule.stage == stage]
    for index, rule in enumerate(faults.rules):
        if rule.stage == stage and _applies(rule, connection, sender, recipients):
            met[index] += 1
            lot = _lot(faults.seed, index, connection, met[index])
            if rule.nth in (0, met[index]) and lot < rule.chance:
                due.append(rule)
    action: Fail | Drop | None = None
    delay, what = 0, list[str]()
    for rule in due:
        if isinstance(rule.action, Delay):
            delay += rule.action.milliseconds
        elif action is None:
            action = rule.action
        else:
            continue
        what.append(str(rule))
    return _Due(tuple(met), min(delay, fault_rules.MAX_DELAY_MS), action, tuple(what))


def _apply(due: _Due, before: Session, turn: Turn) -> Turn:
    """What becomes of a turn.

    :param before: the session as it is where the turn is not to have happened.
    """
    if isinstance(due.action, Fail):
        reply = Reply(due.action.code, due.action.enhanced, (due.action.text or f"Injected: {'; '.join(due.what)}",))
        turn = Turn(before, reply, Close() if due.action.code == 421 else ReadLines())
    elif isinstance(due.action, Drop):
        turn = Turn(before, None, Close())
    turn = replace(turn, session=replace(turn.session, met=due.met if any(due.met) else ()))
    if not due.what:
        return turn
    earlier = turn.next if isinstance(turn.next, Injected) else None
    then = earlier.then if earlier else turn.next
    assert not isinstance(then, Injected)
    what = "; ".join([*([earlier.what] if earlier else []), *due.what])
    return replace(turn, next=Injected(due.delay + (earlier.delay if earlier else 0), what[:1000], then))


def _applies(rule: Rule, connection: int, sender: str, recipients: Iterable[str]) -> bool:
    if rule.connection not in (0, connection):
        return False
    if rule.sender and not fnmatchcase(sender.lower(), rule.sender):
        return False
    return not rule.recipient or any(fnmatchcase(address.lower(), rule.recipient) for address in recipients)


def _lot(seed: int, rule: int, connection: int, met: int) -> float:
    """A number from 0 to below 1 that the arguments decide."""
    digest = hashlib.sha256(f"{seed} {rule} {connection} {met}".encode()).digest()
    # 53 bits are what a float holds exactly.
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def _to_postmaster(talk: Talk) -> Talk:
    """The same, but it is postmaster's mailbox that is looked up."""
    try:
        question = next(talk)
        while True:
            outcome = yield _POSTMASTER if isinstance(question, Lookup) else question
            question = talk.send(outcome)
    except StopIteration as done:
        turn: Turn = done.value
        return turn


def _sender(session: Session) -> str:
    return session.transaction.sender if session.transaction else ""


def _with_word(session: Session, local: str) -> Session:
    mail: Transaction | None = session.transaction
    if mail is None or local in mail.words or len(mail.words) >= _MAX_WORDS:
        return session
    return replace(session, transaction=replace(mail, words=(*mail.words, local)))
