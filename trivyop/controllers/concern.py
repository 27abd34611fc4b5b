"""Concern: one thing that the operator does, as the manager runs it.

A concern is built from the ``ControllerContext``, and from the concerns that it builds upon. Building reads
and writes nothing; it adds to ``context.health`` what the probes say of the concern. The manager then calls,
in this order: ``watch`` (on every replica) and ``wait_synced``; on the replica that works ``start``, of all
concerns one after the other, then ``run``; and ``drain`` when the operator stops.
"""

from __future__ import annotations


class Concern:
    """What a concern may do; it defines those methods that it has work for."""

    name: str
    """Names its tasks."""

    async def watch(self) -> None:
        """Run on every replica, also on one that stands by, until cancelled; write nothing."""

    async def wait_synced(self) -> None:
        """Wait until all is cached that the concern needs beside the shared informers."""

    async def start(self) -> None:
        """Register handlers and queue what there is: all informers are synced, no controller runs yet."""

    async def run(self) -> None:
        """Work until drained or cancelled; all concerns have started."""

    async def drain(self) -> None:
        """Take in no more keys, and return when what is in hand is finished, or may be lost without harm."""
