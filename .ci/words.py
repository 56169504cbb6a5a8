"""Fails if a text has a word that it should not have.

`NEVER` has the words, and what to write instead. Code in backquotes and fenced blocks counts too: messages are shown there. Of Rust
code, comments and strings count alike, tests do not.
"""

import pathlib
import re
import sys

NEVER = {
    r"mend(s|ed|ing)?": "fix; in output: help",
    r"dated in the future": "has an mtime in the future",
    r"busybox's": "from busybox",
    r"is told": "is given",
    r"anew": "again",
    r"(?<!there )is no (usable|JSON|virtual|valid|permalink|Python)": "is not a",
    r"for whom": "name the thing",
    r"(is|are) another": "changed; is a different",
    r"there is no telling": "unknown",
    r"dates? (is|are|was|were) (put|set) back": "mtimes are restored",
    r"in vain": "and not found",
    r"of old": "earlier",
    r"whoever": "anyone who",
    r"wishes": "options, requirements",
    r"broke off": "exited unexpectedly",
    r"obey(s|ed)?": "follow, honour",
    r"(come|comes|came) of": "come from",
    r"beside": "next to",
    r"(could|can) (not )?be had": "is not available",
    r"had its day": "must not be used again",
    r"what is (ours|asked for)": "our files; the request",
    r"what was built": "the artifact",
    r"what cargo has written": "cargo's records",
    r"says? the (fix|help)": "suggest a fix",
}
PATTERN = re.compile(r"(?<![\w-])(%s)(?![\w-])" % "|".join("(?:%s)" % word for word in NEVER), re.IGNORECASE)

PAGES = ["*.md", "docs/**/*.md", "docs/llms.txt", ".github/ISSUE_TEMPLATE/*", "examples/README.md"]
# Made from the code, or part of the program.
PROGRAM = ["src/**/*.rs", "hookd/**/*.py", "python/pyenv_build/*.py", "docs/reference/*", "tests/it/snapshots/*.snap", "action.yml", "summary/action.yml", "action/install.sh"]


def files(patterns: list) -> set:
    return {path for pattern in patterns for path in pathlib.Path().glob(pattern) if path.is_file()}


def main() -> int:
    found = 0
    checked = {path for path in files(PAGES) | files(PROGRAM) if path.name != "tests.rs"}
    for path in sorted(checked):
        text = re.split(r"#\[cfg\((?:test|all\(test, unix\))\)\]\nmod tests", path.read_text(encoding="utf-8"))[0]
        for number, line in enumerate(text.splitlines(), 1):
            for match in PATTERN.finditer(line):
                instead = next(text for word, text in NEVER.items() if re.fullmatch(word, match[0], re.IGNORECASE))
                print("%s:%d: `%s`: write: %s" % (path, number, match[0], instead))
                found += 1
    return 1 if found or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
