"""A hook of mkdocs: publishes the Markdown of each page next to the page, for llms.txt (https://llmstxt.org)."""

import pathlib
import shutil


def on_post_build(config, **_: object) -> None:
    docs, site = pathlib.Path(config["docs_dir"]), pathlib.Path(config["site_dir"])
    for page in docs.rglob("*.md"):
        copy = site / page.relative_to(docs)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, copy)
