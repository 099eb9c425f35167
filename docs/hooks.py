"""For mkdocs: the integrations' own pages stand in the site, and links into the repository lead to them."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent


def on_files(files: Files, config: Any) -> Files:
    for readme in sorted(ROOT.glob("integrations/*/README.md")):
        text = readme.read_text("utf-8").replace("](../../docs/", "](../")
        files.append(File.generated(config, f"integrations/{readme.parent.name}.md", content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    return re.sub(r"\]\(\.\./integrations/([a-z]+)/README\.md", r"](integrations/\1.md", markdown)
