"""The request and reply pairs beside PROTOCOL.md, through a real server."""

# ruff: noqa: ASYNC240 - tiny local files; there is nothing else on this loop

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.mi_fifo.harness import TRANSCRIPTS, serving

REQUESTS = sorted(TRANSCRIPTS.glob("*.request.txt"))


def test_there_are_transcripts() -> None:
    assert len(REQUESTS) >= 10


@pytest.mark.parametrize("request_file", REQUESTS, ids=lambda path: path.name.split(".")[0])
async def test_a_transcript(request_file: Path, tmp_path: Path) -> None:
    reply_file = request_file.with_name(request_file.name.replace(".request.", ".reply."))
    async with serving(tmp_path) as bench:
        reply = await bench.ask(request_file.read_bytes(), "reply")
        assert reply == reply_file.read_bytes()
        await bench.works()
