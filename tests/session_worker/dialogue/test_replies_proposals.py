"""What a reply proposes is accepted when it is typed as it stands, whatever the client is called and has said before.

And a refusal names the rule that is broken: the table of wrong input, one line for each way to go wrong.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deploy.in_memory import InMemory
from session_worker.dialogue.replies import shown
from session_worker.dialogue.turn import Policy, SenderDomainRule

_USERS = ("maria@example.com", "joão@example.com")
_NAMES = [
    "my_host", "web_1.app_default", "example.org.", "[::1]", "[IPv6:::1]", "[IPv6:2001:DB8::1]", "[192.0.2.1]",
    "[192.0.2.400]", "[IPv6:fe80::1%eth0]", "host:25", "a..b", ".a", "bob's-pc", "(none)", "localhost", "12345",
    "-x-", "<x>", "<gmail.com>", "ana@gmail.com", "GMAIL.com", "xn--bcher-kva.example", "bücher.example",
    "MAIL", "1.2.3.4", '"quoted"', "a;b", "back\\slash", ",", "@", "x,y", "example.org/", "*", "my pc",
    "Ana's PC (new)", "a  b", "日本", "MAIL FROM:<you@example.org>", "x" * 63, "x" * 64, ".".join(["y" * 60] * 4),
    "z" * 255, "é" * 127, "x" * 63 + "." + "y" * 37, ".".join(["y" * 50] * 2), "\u202eevil", "\xa0",
]  # fmt: skip
_names = st.sampled_from(_NAMES) | st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_categories=("Cc", "Cs")), min_size=1, max_size=80
)
# What may be said in each phase, right and wrong.
_SAID = [
    "HELP", "HELP MAIL", "HELP RCPT", "HELP DATA", "HELP X", "HELP VRFY", "FROBNICATE", "Subject: hello", "",
    " x", "\0", "\x08", "MAIL", "MAIL FROM", "MAIL FROM:", "MAIL FROM:<", "MAIL FROM:<a>", "MAIL FROM:<é@b>",
    "MAIL FROM:<a@b> SIZE=x", "MAIL FROM:<a@b> BODY=x", "MAIL FROM:<a@b> SMTPUTF8=1", "MAIL FROM:<a@b> X=1",
    "MAIL FROM:<a@b> X=", "MAIL FROM:<>", "MAIL FROM:<a@other.example>", "RCPT", "RCPT TO:<>", "RCPT TO:<a>",
    "RCPT TO:<who@example.com>", "RCPT TO:<a@b>", "RCPT TO:<a@b> X=1", "RCPT TO:<é@b>",
    "RCPT TO:<maria@example.com>", "DATA x", "DATA", "RSET", "RSET x", "VRFY", "VRFY who", "VRFY a@",
    "VRFY joão", "EXPN x", "BDAT 1", "NOOP", "XEXPLAIN x", "HELO", "EHLO", "EHLO host.example.org",
]  # fmt: skip
_PROPOSAL = re.compile(
    r"MAIL FROM:<[^>]*>(?: (?:SIZE|BODY|SMTPUTF8)\b\S*)?|RCPT TO:<[^>]*>"
    r"|(?:(?<=: )|(?<= or )|(?<=\d   ))(?:(?:HELO|EHLO|VRFY) [\w.-]+\w|HELP [A-Z]{4}|(?:DATA|RSET|NOOP|QUIT)\b)"
)


class Session:
    """A session that can be begun anew, on the same server, and brought to where it is."""

    def __init__(self, server: InMemory, said: tuple[bytes, ...] = ()) -> None:
        self._server = server
        self._said = said
        self._client = server.connect()
        self._client.say(b"".join(said))

    def say(self, text: str) -> str:
        """The reply to a line."""
        line = text.encode() + b"\r\n"
        self._said += (line,)
        return self._client.say(line).decode()

    @property
    def over(self) -> bool:
        return self._client.closed

    def another(self) -> Session:
        return Session(self._server, self._said)


def _try_proposals(session: Session, said: str, reply: str) -> None:
    """Say each on its own, where the session is now."""
    # What the client said itself, and is shown, is no proposal.
    for own in (f'"{shown(said)}"', f"welcomes {shown(said)}"):
        reply = reply.replace(own, "")
    for proposal in _PROPOSAL.findall(reply):
        answer = session.another().say(proposal)
        assert answer[0] in "23", f"{said!r}: {reply!r} proposes {proposal!r}: {answer!r}"


def test_the_proposals_of_a_reply_are_found() -> None:
    session = Session(InMemory(_USERS))
    assert _PROPOSAL.findall(session.say("DATA")) == ["HELO example.org", "EHLO host.example.org"]
    assert _PROPOSAL.findall(session.say("HELO b.example")) == ["MAIL FROM:<you@b.example>"]
    session.say("MAIL FROM:<>")
    assert _PROPOSAL.findall(session.say("HELP"))[:4] == [
        "RCPT TO:<postmaster>",
        "HELO example.org",
        "EHLO host.example.org",
        "RCPT TO:<postmaster>",
    ]


_RULES = [
    Policy(max_errors=10_000, explain=True),
    Policy(max_errors=10_000, sender_domain_rule=SenderDomainRule.ALWAYS, vrfy=False),
    Policy(max_errors=10_000, sender_domain_rule=SenderDomainRule.NEVER, max_message_octets=5),
    Policy(max_errors=10_000, strict=True),
]


@pytest.mark.parametrize("rules", _RULES, ids=["friendly", "always", "never", "strict"])
@pytest.mark.parametrize("verb", ["HELO", "EHLO"])
@pytest.mark.parametrize("name", _NAMES, ids=range(len(_NAMES)))
def test_what_is_proposed_to_a_name_is_accepted(rules: Policy, verb: str, name: str) -> None:
    session = Session(InMemory(_USERS, rules))
    reply = session.say(f"{verb} {name}")
    assert reply.startswith("250") or (rules.strict and reply.startswith("501 5.5.4"))
    _try_proposals(session, name, reply)
    if not reply.startswith("250"):
        assert "Example: " in reply
        session.say(f"{verb} example.org")
    _try_proposals(session, "RSET", session.say("RSET"))
    _try_proposals(session, "x", session.say("MAIL FROM:<x@other.example>"))
    _try_proposals(session, "DATA", session.say("DATA"))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(_RULES), _names, st.lists(st.sampled_from(_SAID), max_size=6))
@example(_RULES[0], "my_host", _SAID)
@example(_RULES[1], "gmail.com", _SAID)
@example(_RULES[3], "gmail.com", _SAID)
def test_what_is_proposed_is_accepted_in_every_phase_and_after_every_refusal(
    rules: Policy, name: str, said: list[str]
) -> None:
    session = Session(InMemory(_USERS, rules))
    for hello in ("", f"HELO {name}", f"EHLO {name}"):
        for line in filter(None, [hello, "MAIL FROM:<>", *said, "RCPT TO:<maria@example.com>", *said]):
            if session.over or line == "DATA":
                # What follows is the message.
                continue
            _try_proposals(session, line, session.say(line))


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ("MAIL", "501 5.5.4 .*FROM: must follow MAIL"),
        ("MAIL <a@b>", "501 5.5.4 .*FROM: must follow MAIL"),
        ("MAIL FORM:<a@b>", "501 5.5.4 .*FROM: must follow MAIL"),
        ("MAIL FROM <a@b>", "501 5.5.4 .*the colon after FROM is missing"),
        ("MAIL FROM a@b", "501 5.5.4 .*the colon after FROM is missing"),
        ("MAILFROM:<a@b>", "500 5.5.2 .*Did you mean MAIL"),
        ("MAIL FROM:", "501 5.5.4 .*the address in <> is missing"),
        ("MAIL FROM:<a@b", "501 5.5.4 .*the closing > is missing"),
        ("MAIL FROM:a@b>", "501 5.5.4 .*the opening < is missing"),
        ("MAIL FROM:<<a@b>>", "501 5.5.4 .*a < stands inside the <>"),
        ("MAIL FROM:<a@b>>", "501 5.5.4 .*a > too many"),
        ("MAIL FROM:Ana <ana@b>", "501 5.5.4 .*no name before it"),
        ('MAIL FROM:"Ana" <ana@b>', "501 5.5.4 .*no name before it"),
        ('MAIL FROM:<"a@b>', "501 5.5.4 .*the quotes are not closed"),
        ("MAIL FROM:<a@b>x", "501 5.5.4 .*a blank must follow the address"),
        ("MAIL FROM:<a@b>,<c@d>", "501 5.5.4 .*one command takes one address"),
        ("MAIL FROM:<a@b> SIZE", "501 5.5.4 .*SIZE is a number of octets"),
        ("MAIL FROM:<a@b> SIZE=-1", "501 5.5.4 .*SIZE is a number of octets"),
        ("MAIL FROM:<a@b> SIZE=" + "9" * 21, "501 5.5.4 .*of up to 20 digits"),
        ("MAIL FROM:<a@b> SIZE=33554433", "552 5.3.4 .*at most 33554432 octets"),
        ("MAIL FROM:<a@b> SIZE=", "501 5.5.4 .*\"SIZE=\" behind the address is no parameter"),
        ("MAIL FROM:<a@b> SIZE=1 SIZE=1", "501 5.5.4 .*the parameter SIZE comes twice"),
        ("MAIL FROM:<a@b> BODY=BINARYMIME", "501 5.5.4 .*BODY is 7BIT or 8BITMIME"),
        ("MAIL FROM:<a@b> SMTPUTF8=yes", "501 5.5.4 .*SMTPUTF8 takes no value"),
        ("MAIL FROM:<a@b> RET=FULL", "555 5.5.4 .*no parameter RET here; it takes: SIZE, BODY, SMTPUTF8"),
        ("MAIL FROM:my name@b", "501 5.5.4 .*\"name@b\" behind the address is no parameter"),
        ("MAIL FROM:<a>", "501 5.1.7 .*the @ is missing"),
        ("MAIL FROM:<@b>", "501 5.1.7 .*the part before the @ is missing"),
        ("MAIL FROM:<a@>", "501 5.1.7 .*joined by dots: there is none"),
        ("MAIL FROM:<a b@c>", "501 5.1.7 .*needs quotes: ' '"),
        ("MAIL FROM:<a..b@c>", "501 5.1.7 .*two dots in a row"),
        ("MAIL FROM:<.a@c>", "501 5.1.7 .*begins with a dot"),
        ('MAIL FROM:<"a"b@c>', "501 5.1.7 .*between the closing quote"),
        ("MAIL FROM:<a@b..c>", "501 5.1.7 .*a dot stands between two labels only"),
        ("MAIL FROM:<a@b.c.>", "501 5.1.7 .*a dot stands between two labels only"),
        ("MAIL FROM:<a@-b>", "501 5.1.7 .*a hyphen stands within a label only"),
        ("MAIL FROM:<a@b:25>", "501 5.1.7 .*':' is none of these"),
        ("MAIL FROM:<a@b@c>", "501 5.1.7 .*'@' is none of these"),
        ("MAIL FROM:<" + "x" * 65 + "@b>", "501 5.1.7 .*the local part has over 64 octets"),
        ("MAIL FROM:<a@" + ".".join(["x" * 60] * 5) + ">", "501 5.1.7 .*the domain has over 255 octets"),
        ("MAIL FROM:<a@" + "x" * 64 + ">", "501 5.1.7 .*a label over 63 octets"),
        ("MAIL FROM:<a@[1.2.3]>", r"501 5.1.7 .*an address literal is \[192.0.2.1\]"),
        ("MAIL FROM:<a@[IPv6:fe80::1%eth0]>", r"501 5.1.7 .*an address literal is \[192.0.2.1\]"),
        ("MAIL FROM:<a@[::1]>", r"501 5.1.7 .*\[IPv6:2001:db8::1\]"),
        ("MAIL FROM:<é@b>", "553 5.6.7 .*SMTPUTF8 follows the address"),
        ("MAIL FROM:<a@é>", "553 5.6.7 .*SMTPUTF8 follows the address"),
        ("RCPT TO:<a@b>", "503 5.5.1 .*Before RCPT comes the sender: MAIL FROM"),
        ("DATA", "503 5.5.1 .*Before DATA comes the sender: MAIL FROM"),
        ("RSET now", "501 5.5.4 RSET takes no argument: type RSET alone"),
        ("QUIT now", "501 5.5.4 QUIT takes no argument: type QUIT alone"),
        ("HELP ME", "504 5.5.4 .*HELP with one of HELO"),
        ("VRFY", "501 5.5.4 .*a name is missing. The form is: VRFY postmaster"),
        ("VRFY a b", "501 5.5.4 .*it takes one name and SMTPUTF8"),
        ("VRFY <a@b", "501 5.5.4 .*the closing > is missing"),
        ("VRFY joão", "553 5.6.7 .*SMTPUTF8 follows the name"),
        ("EXPN x", "502 5.5.1 EXPN is known but not offered"),
        ("HELO", "501 5.5.4 HELO needs your domain: no name was given. Example: HELO example.org"),
        ("EHLO " + "x" * 256, "501 5.5.4 .*a name has at most 255 octets. Example: EHLO example.org"),
        ("NO\0OP", r"500 5.5.2 .*control byte \(0x00\), a NUL"),
        ("NOOP\x08", r"500 5.5.2 .*control byte \(0x08\), as a correcting key sends it"),
        ("NOOP\x7f", r"500 5.5.2 .*control byte \(0x7F\), as a correcting key sends it"),
        ("NOOP\x1b[A", r"500 5.5.2 .*control byte \(0x1B\), as an arrow key"),
        ("MAIL\tFROM:<a@b>", r"500 5.5.2 .*control byte \(0x09\), a tab"),
        ("NOOP\rNOOP", r"500 5.5.2 .*control byte \(0x0D\), a CR without the LF"),
        ("NOOP \x9b", r"500 5.5.2 .*control byte \(0x9B\)"),
        ("NOOP " + "x" * 2048, "500 5.5.2 Line too long: a command has at most 2048 octets"),
        ("", "500 5.5.2 Empty line"),
        (" NOOP", "500 5.5.2 .*without blanks before it"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_rule_that_is_broken(said: str, reply: str) -> None:
    session = Session(InMemory(_USERS, _RULES[0]))
    session.say("EHLO client.example")
    assert re.match(reply, session.say(said))


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ("MAIL FROM:<a@b>", "503 5.5.1 A mail is under way already"),
        ("RCPT", "501 5.5.4 .*TO: must follow RCPT. The form is: RCPT TO:<postmaster>"),
        ("RCPT FROM:<a@b>", "501 5.5.4 .*TO: must follow RCPT"),
        ("RCPT TO<a@b>", "501 5.5.4 .*the colon after TO is missing"),
        ("RCPT TO:<>", "501 5.1.3 .*it is empty, which only a sender can be"),
        ("RCPT TO:<a@b>,<c@d>", "501 5.5.4 .*one command takes one address"),
        ("RCPT TO:a@b, c@d", '501 5.5.4 .*"c@d" behind the address is no parameter'),
        ("RCPT TO:<a@b> NOTIFY=NEVER", "555 5.5.4 RCPT has no parameter NOTIFY here; it takes: none"),
        ("RCPT TO:<a@b_c>", "501 5.1.3 .*'_' is none of these"),
        ("RCPT TO:<é@b>", "553 5.6.7 .*SMTPUTF8 follows the sender's address"),
        ("RCPT TO:<who@example.com>", "550 5.1.1 .*no user of this server"),
        ("RCPT TO:<a@b>", "550 5.7.1 .*not in a domain of this server"),
        ("DATA", "554 5.5.1 No recipient was accepted: first RCPT TO:<postmaster>"),
    ],
)
def test_a_refusal_in_a_mail_names_the_rule_that_is_broken(said: str, reply: str) -> None:
    session = Session(InMemory(_USERS, _RULES[0]))
    session.say("HELO client.example")
    assert session.say("MAIL FROM:<a@b> SIZE=1").startswith("555 5.5.4 Parameters are an extension")
    assert session.say("MAIL FROM:<a@b>").startswith("553 5.1.8 The sender's domain must be the one you said in HELO")
    session.say("MAIL FROM:<a@client.example>")
    assert re.match(reply, session.say(said))
    session.say("RCPT TO:<maria@example.com>")
    assert session.say("DATA now").startswith("501 5.5.4 DATA takes no argument: type DATA alone")
