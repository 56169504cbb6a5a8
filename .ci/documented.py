"""Writes the workflows that README and the documentation show to a directory, for linters of workflows: `documented.py DIRECTORY`."""

import pathlib
import re
import shutil
import sys

BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Where the action will be is not known yet; linters want a commit.
PLACEHOLDER = re.compile(r"OWNER/cargo-pyenv-build(/summary)?@COMMIT")
INSTEAD = r"owner/cargo-pyenv-build\1@" + 40 * "0"


def main() -> int:
    directory = pathlib.Path(sys.argv[1]) / ".github" / "workflows"
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    directory.mkdir(parents=True)
    written = 0
    for page in [pathlib.Path("README.md"), *sorted(pathlib.Path("docs").rglob("*.md"))]:
        blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
        for number, text in enumerate((text for text in blocks if re.search(r"^jobs:", text, re.MULTILINE)), 1):
            (directory / ("%s-%d.yml" % (page.stem, number))).write_text(PLACEHOLDER.sub(INSTEAD, text), encoding="utf-8")
            written += 1
    print("%d workflows" % written)
    return 0 if written else 1


if __name__ == "__main__":
    sys.exit(main())
