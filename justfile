# Recipes for https://just.systems; each calls a script, so nothing here needs just. `just` lists them.

_list:
    @just --list --unsorted

# format Rust and Python
fmt:
    cargo fmt
    [ ! -x target/lint/bin/ruff ] || target/lint/bin/ruff format hookd python

# all linters: Rust, Python, workflows, spelling
lint:
    .ci/run lint

# spelling, and words that users must not see
words:
    .ci/run words

# licences and advisories of dependencies
deny:
    .ci/run deny

# tests that need no network: `just test doctor::`
test *args:
    cargo test --lib --test it {{ args }}

# all tests
test-all:
    .ci/run test

# tests of hookd with one Python
test-hookd python="python3":
    {{ python }} -m unittest discover -s hookd/tests

# accept changed snapshots; then read `git diff`
review:
    INSTA_UPDATE=always cargo test --lib --test it

# write docs/reference, and the measured numbers in README and docs
render:
    PYENV_BUILD_BLESS=1 cargo test --lib reference
    python3 benches/render.py

# the site, with its links checked
site:
    .ci/run site

# all that CI does
ci:
    .ci/run
