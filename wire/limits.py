"""The limits of the contract: what no well-formed message exceeds. `SPEC.md` repeats them in words."""

# RFC 5321 section 4.5.3.1.4 asks for 512 octets at least, ESMTP parameters add to that; 2048 holds them all.
# The line end counts.
MAX_LINE = 2048
# One Step's worth of pipelined lines: enough for MAIL, 100 RCPT and DATA in one hop.
MAX_LINES = 128
# The size of a piece of a message, up to MAX_PIECE where few sessions share a gateway's memory. What is smaller than
# a piece travels in one step.
BODY_PIECE = 256 * 1024
MAX_PIECE = 1024 * 1024
# Octets of large steps that a gateway has with a worker at a time, and then one step more; and of small ones, of up
# to SMALL_STEP octets, as many again. Eight pieces of 256 KiB, or two of the largest, keep a worker and the store
# busy while the gateway sends more. With four times that, a small mail waited five times as long among 1,000 large
# ones.
IN_FLIGHT = 2 * 1024 * 1024
SMALL_STEP = 32 * 1024
# 1000 recipients with the longest paths (RFC 5321 section 4.5.3.1.3: 256 octets), twice each.
MAX_STATE = 1024 * 1024
MAX_REPLIES = 1024 * 1024
MAX_CARRY = 4096
# ms for which an answer may be given again: a new release or setting is soon noticed, and a fault does not last.
MAX_HOLDS = 1000
MAX_RECIPIENTS = 1000
MAX_ID = 64  # session and delivery ids
MAX_TEXT = 1024  # addresses, mailbox names, reasons
MAX_TRACE = 4096
# Messages in one frame set: what one turn of a loop gathers.
MAX_BATCH = 10_000
# The first frame after the version: all messages of a batch without their bodies.
MAX_ENVELOPE = 16 * 1024 * 1024
