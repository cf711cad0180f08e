"""Hypothesis strategies for every message of the contract."""

from __future__ import annotations

from typing import get_args

from hypothesis import strategies as st

from wire import limits, messages, outcomes

numbers = st.integers(min_value=0, max_value=2**63)
times = st.integers(min_value=0, max_value=limits.MAX_HOLDS)
ids = st.text(min_size=1, max_size=limits.MAX_ID)
names = st.text(min_size=1, max_size=60)
texts = st.text(max_size=60)
octets = st.binary(max_size=200)
mailboxes = st.lists(names, min_size=1, max_size=5).map(tuple)
originals = st.lists(st.tuples(numbers, texts), max_size=3).map(tuple)
lines = st.lists(st.none() | octets, min_size=1, max_size=5).map(tuple)

clients = st.builds(messages.Client, texts)
told = st.lists(st.builds(messages.Told, texts, numbers, st.booleans()), max_size=3).map(tuple)
served = st.none() | st.lists(ids, max_size=3).map(tuple)
inputs = st.one_of(
    st.just(messages.Connected()),
    st.builds(messages.Lines, lines),
    st.builds(messages.Body, octets, numbers, st.booleans(), st.booleans(), st.booleans()),
    st.just(messages.Disconnected()),
)
ends = st.one_of(st.just(messages.ReadLines()), st.builds(messages.ReadBody, numbers), st.just(messages.Close()))
nexts = ends | st.builds(messages.Injected, numbers, names, ends)
questions = st.one_of(
    st.builds(messages.Lookup, texts, texts),
    st.builds(messages.Check, mailboxes),
    st.builds(messages.Stage, ids, numbers, octets),
    st.builds(messages.Deliver, ids, numbers, texts, mailboxes, octets, numbers, octets, originals),
    st.builds(messages.Discard, ids),
)
answers = st.one_of(
    st.builds(outcomes.Found, names, times, times),
    st.builds(outcomes.NoSuchUser, texts),
    st.just(outcomes.NotOurDomain()),
    st.builds(outcomes.Writable, times),
    st.builds(outcomes.Unwritable, names, texts),
    st.builds(outcomes.Staged, numbers),
    st.builds(outcomes.Delivered, st.booleans()),
    st.just(outcomes.Discarded()),
    st.builds(outcomes.Failed, st.sampled_from(get_args(outcomes.Failure)), texts),
)
dones = st.builds(messages.StepDone, ids, numbers, numbers, octets, octets, nexts, holds=times, told=told)
any_message = st.one_of(
    st.builds(messages.Step, ids, numbers, numbers, octets, inputs, clients, octets, numbers, numbers),
    st.builds(
        messages.StepDone,
        ids,
        numbers,
        numbers,
        octets,
        octets,
        nexts,
        st.booleans(),
        st.none() | octets,
        times,
        told,
        texts,
        st.none() | st.builds(messages.Ahead, lines, dones),
    ),
    st.builds(messages.StepRefused, ids, numbers, st.sampled_from(["draining", "state"])),
    st.builds(messages.WorkerAlive, names, st.booleans(), served, octets, numbers),
    st.just(messages.WorkerGone()),
    st.builds(messages.Ask, numbers, numbers, questions),
    st.builds(messages.Answer, numbers, answers),
    st.builds(messages.Ping, numbers),
    st.builds(messages.Pong, names, numbers),
)
