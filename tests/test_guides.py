"""The Python blocks of the guides run and print what they promise after `# →`; the links lead somewhere."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from tests.postgres_server import fresh_database

ROOT = Path(__file__).resolve().parents[1]
GUIDES = [
    "docs/persistence.md", "docs/interrupts.md", "docs/memory.md", "docs/migrating.md", "docs/postgres.md",
]  # fmt: skip
LINKED = [*GUIDES, "examples/refund_desk/README.md"]


@pytest.mark.parametrize("name", GUIDES)
def test_the_blocks_of_a_guide_print_what_they_promise(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / name).read_text()
    if "DATABASE_URL" in text:
        monkeypatch.setenv("DATABASE_URL", fresh_database())
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    assert {language for language, _ in blocks} == {"python"}
    scope: dict[str, object] = {"__name__": "guide"}
    for _, source in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = compile(source, name, "exec", dont_inherit=True)
            exec(code, scope)  # noqa: S102 - the guides are ours
        assert printed.getvalue().splitlines() == re.findall(r"# → (.*)$", source, re.MULTILINE)


@pytest.mark.parametrize("name", LINKED)
def test_every_link_of_a_guide_leads_to_a_file(name: str) -> None:
    document = ROOT / name
    targets = re.findall(r"\]\(([^)#:]+)\)", document.read_text())
    assert len(targets) > 1
    assert [target for target in targets if not (document.parent / target).exists()] == []
