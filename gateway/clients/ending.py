"""The end of a connection that is closed in order: what happens to it once the last reply is on its way.

Closing a socket with unread input would make the kernel send a reset, which takes the last reply from the client. So
after the replies and the end of stream, for LINGER seconds what still comes is read and dropped.
Fails: never; a client that neither reads nor closes is cut off.
"""

from __future__ import annotations

import asyncio

# How long, in seconds, a client may take to read the last reply and close: a few round trips on a bad line.
LINGER = 2.0
# One that goes on reading a long reply gets as many times LINGER.
_LINGERS = 15


class Lingering:
    """Cuts a connection off in the end.

    :param transport: it has been given all that is to be sent.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop = loop
        self._transport = transport
        self._unsent = transport.get_write_buffer_size()
        self._times = 1
        self._timer = loop.call_later(LINGER, self._look)

    def cancel(self) -> None:
        """The connection is gone."""
        self._timer.cancel()

    def _look(self) -> None:
        unsent, before = self._transport.get_write_buffer_size(), self._unsent
        if unsent == 0 or unsent >= before or self._times == _LINGERS:
            self._transport.abort()
            return
        self._unsent = unsent
        self._times += 1
        self._timer = self._loop.call_later(LINGER, self._look)
