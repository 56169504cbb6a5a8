"""Checks that each dependency offers a licence that deny.toml allows; `cargo deny check` does more, where it is installed."""

import re
import subprocess
import sys


def allowed() -> tuple:
    """The licences for all, and further ones for single crates."""
    with open("deny.toml", encoding="utf-8") as file:
        text = file.read()
    quoted = re.compile(r'"([^"]+)"')
    for_all = re.search(r"^allow = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
    exceptions = re.findall(r'crate = "([^"]+)", allow = \[(.*?)\]', text)
    return set(quoted.findall(for_all.group(1))), {crate: set(quoted.findall(more)) for crate, more in exceptions}


def satisfied(expression: str, allow: set) -> bool:
    """Evaluates an SPDX expression; `/` is what old crates write for OR."""
    words = re.findall(r"\(|\)|[A-Za-z0-9.+-]+", expression.replace("/", " OR "))
    python = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word == "WITH":
            # An exception only ever permits more.
            skip = True
        elif word in ("AND", "OR"):
            python.append(word.lower())
        elif word in "()":
            python.append(word)
        else:
            python.append(str(word in allow))
    return bool(eval(" ".join(python), {}))  # nothing but True, False, and, or, parentheses


def packages() -> set:
    """All that can get into the program, on any platform; `cargo metadata` also lists what no feature of ours asks for."""
    command = ["cargo", "tree", "--locked", "--all-features", "--target", "all", "--prefix", "none", "--format", "{p}|{l}"]
    lines = subprocess.check_output(command, encoding="utf-8").splitlines()
    found = set()
    for line in lines:
        package, licence = line.replace(" (*)", "").split("|")
        name, version = package.split()[:2]
        found.add((name, version, licence))
    return found


def main() -> int:
    every = packages()
    allow, exceptions = allowed()
    bad = [
        (name, version, licence)
        for name, version, licence in sorted(every)
        if not licence or not satisfied(licence, allow | exceptions.get(name, set()))
    ]
    for name, version, licence in bad:
        print("not allowed: %s %s: %s" % (name, version, licence))
    print("licences: %d packages, %d not allowed" % (len(every), len(bad)))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
