"""The documentation page: complete, escaped, and in need of nothing but itself."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dlgmgmt.commands.registry import Registry
from dlgmgmt.commands.rows import COMMANDS, build_registry
from dlgmgmt.interfaces import docs
from tests.unit.commands.harness import House
from tests.unit.interfaces.test_http import serving

HOSTILE = "<script src=//evil.example/x.js></script>\"'><img src=x onerror=alert(1)>&amp;"
PAGE = docs.page(build_registry())
ALONE = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """What stands in a page; elements must be closed in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ALONE:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]


def test_every_command_and_every_name_is_there() -> None:
    page = Page(PAGE)
    for row in COMMANDS:
        for name in (*row.mi_names, *row.rpc_names):
            assert f"<code>{name}</code>" in PAGE
        assert row.doc in page.text
        for param in row.params:
            assert param.doc in page.text
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    for link in page.values("href"):
        assert link in ("data:,", "/openapi.json") or link.removeprefix("#") in ids


def test_nothing_is_fetched_and_no_script_runs() -> None:
    page = Page(PAGE)
    kinds = {tag for tag, _ in page.tags}
    assert not kinds & {
        "script",
        "img",
        "iframe",
        "object",
        "embed",
        "form",
        "base",
        "svg",
        "video",
    }
    assert [attrs for tag, attrs in page.tags if tag == "link"] == [
        {"rel": "icon", "href": "data:,"}
    ]
    assert not any(
        name.startswith("on") or name == "src" for _, attrs in page.tags for name in attrs
    )
    (style,) = re.findall(r"<style>(.*?)</style>", PAGE, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    assert not page.values("style")


def test_hostile_text_is_text() -> None:
    rows = [
        replace(
            row,
            doc=HOSTILE,
            params=tuple(replace(param, doc=HOSTILE, name=f"x{HOSTILE}") for param in row.params),
            example=replace(row.example, params=(HOSTILE,), result={HOSTILE: HOSTILE}),
        )
        for row in COMMANDS
    ]
    page = Page(docs.page(Registry(rows)))
    assert HOSTILE in page.text
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in Page(PAGE).tags}
    assert not any(
        name.startswith("on") or name == "src" for _, attrs in page.tags for name in attrs
    )


async def test_it_is_served_with_a_policy_that_allows_its_style_alone() -> None:
    async with (
        serving(House()) as client,
        client.session.get(client.base + "/docs") as response,
    ):
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        policy = response.headers["Content-Security-Policy"]
        assert await response.text() == PAGE
    directives = {name: values for name, *values in (part.split() for part in policy.split(";"))}
    assert directives["default-src"] == ["'none'"]
    assert directives["frame-ancestors"] == ["'none'"]
    assert directives["img-src"] == ["data:"]
    (hashed,) = directives["style-src"]
    assert hashed.startswith("'sha256-")
    assert "unsafe" not in policy


async def test_chromium_shows_it_and_has_nothing_to_complain_of(tmp_path: Path) -> None:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: THE PAGE WAS NOT SEEN IN A BROWSER")
    async with serving(House()) as client:
        browser = await asyncio.create_subprocess_exec(
            program,
            *["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
            *["--disable-background-networking", "--disable-component-update", "--disable-sync"],
            f"--user-data-dir={tmp_path}",
            # The browser's own wishes, such as updates, lead nowhere.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--enable-logging=stderr",
            "--dump-dom",
            client.base + "/docs",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            shown, complaints = await browser.communicate()
    assert browser.returncode == 0
    # Whatever the page asks for against its policy, and a style without effect, stands there.
    assert "CONSOLE" not in complaints.decode()
    page = Page(shown.decode())
    assert {row.rpc_names[0] for row in COMMANDS if row.rpc_names} <= set(page.values("id"))
