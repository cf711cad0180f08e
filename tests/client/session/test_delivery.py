from __future__ import annotations

import io
from typing import Any

import pytest

from client.session.composing import Fields, MessageError, NamedAddress
from client.session.connection import ConnectionLost, connect
from client.session.delivery import Envelope, Refused, deliver
from client.session.smtp import ServerReply
from tests.conditions import wait_until

ENVELOPE = Envelope("ana@example.org", ("joao@example.com", "maria@example.com"), "home.example.org")
FIELDS = Fields(NamedAddress("", "ana@example.org"), (NamedAddress("", "joao@example.com"),))
SHORT = b"Date: d\nFrom: f\nTo: t\nMessage-ID: m\n\nhello\n.dot\n"
SIZE = len(SHORT.replace(b"\n", b"\r\n"))


async def sent(
    port: int, octets: bytes = SHORT, envelope: Envelope = ENVELOPE, shown: list[str] | None = None
) -> ServerReply:
    connection = connect("127.0.0.1", port)
    try:
        show = [].append if shown is None else shown.append
        return await deliver(connection, envelope, io.BytesIO(octets), FIELDS, show)
    finally:
        connection.close()


async def test_one_transaction_carries_the_mail_to_all(serve: Any, answers: Any) -> None:
    assert str(await sent(serve(answers))) == "250 2.0.0 Delivered abc.1"
    assert answers.heard == [
        "EHLO home.example.org",
        f"MAIL FROM:<ana@example.org> SIZE={SIZE}",
        "RCPT TO:<joao@example.com>",
        "RCPT TO:<maria@example.com>",
        "DATA",
        "QUIT",
    ]
    assert answers.bodies == [SHORT.replace(b"\n", b"\r\n").replace(b"\r\n.", b"\r\n..")]


async def test_without_a_name_the_client_gives_its_address(serve: Any, answers: Any) -> None:
    await sent(serve(answers), envelope=Envelope("", ("joao@example.com",)))
    assert answers.heard[:2] == ["EHLO [127.0.0.1]", f"MAIL FROM:<> SIZE={SIZE}"]


async def test_the_dialogue_can_be_watched_but_not_the_message(serve: Any, answers: Any) -> None:
    shown: list[str] = []
    await sent(serve(answers), shown=shown)
    assert shown[:2] == ["S: 220 test ESMTP", "C: EHLO home.example.org"]
    assert f"C: ({SIZE + 4} octets of message)" in shown
    assert shown[-1] == "S: 221 2.0.0 Bye"
    assert not any("hello" in line for line in shown)


async def test_a_server_without_pipelining_gets_one_command_at_a_time(serve: Any) -> None:
    def server(peer: Any) -> None:
        peer.say("220 old")
        assert peer.hear().startswith(b"EHLO")
        peer.say("250 old")
        for _ in range(4):
            peer.hear()
            peer.connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                peer.connection.recv(1)
            peer.connection.settimeout(20)
            peer.say("354 go" if peer.heard[-1] == b"DATA" else "250 ok")
        peer.hear_body()
        peer.say("250 ok")
        assert peer.hear() == b"QUIT"

    assert (await sent(serve(server))).code == 250


async def test_a_server_without_ehlo_is_greeted_with_helo(serve: Any, answers: Any) -> None:
    answers.changed["EHLO"] = "500 What?"
    await sent(serve(answers))
    assert answers.heard[1:3] == ["HELO home.example.org", "MAIL FROM:<ana@example.org>"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"MAIL": "552 5.3.4 Too big"}, "552 5.3.4 Too big"),
        ({"DATA": "450 4.2.0 Mailbox of joao cannot be written"}, "450 4.2.0 Mailbox of joao cannot be written"),
        ({"EHLO": "550-No\n550 Never"}, "550-No\n550 Never"),
        ({"RCPT TO:<joao": "421 4.3.2 Going down"}, "421 4.3.2 Going down"),
    ],
)
async def test_a_refusal_is_told_as_the_server_said_it(serve: Any, answers: Any, changed: Any, said: str) -> None:
    answers.changed = changed
    with pytest.raises(Refused) as raised:
        await sent(serve(answers))
    assert raised.value.message == said
    assert raised.value.exit_code == 1
    assert answers.bodies == []
    if not said.startswith("421"):
        wait_until(lambda: answers.heard[-1] == "QUIT", "the client takes its leave")


async def test_a_refused_greeting_is_a_refusal(serve: Any, answers: Any) -> None:
    answers.greeting = "554 5.3.2 No service"
    with pytest.raises(Refused, match=r"554 5\.3\.2 No service"):
        await sent(serve(answers))


async def test_one_refused_recipient_keeps_the_mail_from_all(serve: Any, answers: Any) -> None:
    answers.changed["RCPT TO:<maria"] = "550 5.1.1 No such user"
    with pytest.raises(Refused) as raised:
        await sent(serve(answers))
    assert raised.value.message.splitlines() == [
        "the server refused; nothing was sent to the others",
        "RCPT TO:<maria@example.com>",
        "550 5.1.1 No such user",
    ]
    assert answers.heard[-1] == "QUIT"
    assert answers.bodies == []


async def test_every_refused_recipient_is_named(serve: Any, answers: Any) -> None:
    answers.changed["RCPT"] = "550 5.1.1 No such user"
    with pytest.raises(Refused) as raised:
        await sent(serve(answers))
    assert raised.value.message.count("RCPT TO:<") == 2
    assert "others" not in raised.value.message


async def test_only_the_250_to_the_end_of_data_is_a_delivery(serve: Any, answers: Any) -> None:
    answers.end = "452 4.3.1 Disk full"
    with pytest.raises(Refused, match=r"452 4\.3\.1 Disk full"):
        await sent(serve(answers))


def up_to_the_message(peer: Any) -> None:
    peer.say("220 hello")
    peer.hear()
    peer.say("250 hello")
    while peer.hear() != b"DATA":
        peer.say("250 ok")
    peer.say("354 go")


async def test_a_connection_lost_after_the_message_leaves_its_fate_open(serve: Any) -> None:
    def server(peer: Any) -> None:
        up_to_the_message(peer)
        peer.hear_body()

    with pytest.raises(ConnectionLost, match="it may have been delivered, or not") as raised:
        await sent(serve(server))
    assert raised.value.exit_code == 3


async def test_a_server_that_gives_up_in_the_middle_is_heard(serve: Any) -> None:
    def server(peer: Any) -> None:
        up_to_the_message(peer)
        peer.file.read(100_000)
        peer.say("421 4.3.2 Going down")

    with pytest.raises(Refused, match=r"421 4\.3\.2 Going down"):
        await sent(serve(server), b"\n" + b"line\n" * 4_000_000)


async def test_a_thousand_recipients_go_in_groups(serve: Any, answers: Any) -> None:
    recipients = tuple(f"user{number}@example.com" for number in range(1000))
    await sent(serve(answers), envelope=Envelope("ana@example.org", recipients, "home"))
    assert [line for line in answers.heard if line.startswith("RCPT")] == [f"RCPT TO:<{r}>" for r in recipients]


async def test_addresses_in_utf8_ask_for_smtputf8(serve: Any, answers: Any) -> None:
    await sent(serve(answers), envelope=Envelope("josé@example.org", ("joao@example.com",), "home"))
    assert answers.heard[1].endswith(" SMTPUTF8")


async def test_a_server_without_smtputf8_cannot_take_them(serve: Any, answers: Any) -> None:
    answers.ehlo = ("8BITMIME",)
    with pytest.raises(Refused, match="does not offer SMTPUTF8"):
        await sent(serve(answers), envelope=Envelope("josé@example.org", ("joao@example.com",), "home"))
    assert answers.heard == ["EHLO home", "QUIT"]


async def test_octets_over_127_ask_for_8bitmime(serve: Any, answers: Any) -> None:
    await sent(serve(answers), "olá\n".encode())
    assert answers.heard[1].endswith(" BODY=8BITMIME")


async def test_a_server_without_8bitmime_gets_text_encoded(serve: Any, answers: Any) -> None:
    answers.ehlo = ()
    await sent(serve(answers), "olá\n".encode())
    assert answers.bodies[0].endswith(b"\r\nol=C3=A1\r\n")
    assert answers.heard[1] == "MAIL FROM:<ana@example.org>"


async def test_a_server_without_8bitmime_cannot_take_a_message_with_mime_fields_of_its_own(
    serve: Any, answers: Any
) -> None:
    answers.ehlo = ()
    with pytest.raises(Refused, match="does not offer 8BITMIME"):
        await sent(serve(answers), "Content-Type: text/plain; charset=utf-8\n\nolá\n".encode())


async def test_what_is_no_message_ends_the_session_politely(serve: Any, answers: Any) -> None:
    with pytest.raises(MessageError):
        await sent(serve(answers), b"Subject: caf\xe9\n\n")
    assert answers.heard == ["EHLO home.example.org", "QUIT"]
