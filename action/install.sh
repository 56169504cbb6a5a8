#!/usr/bin/env bash
# Finds, downloads or builds the program, and sets the output `program`: the given one (INPUT_BINARY); else a release, verified with
# the checksum in `checksums.txt` next to this script, never with a file next to the download; else a build of this checkout.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
unixlike() { if command -v cygpath >/dev/null; then cygpath -u "$1"; else printf '%s' "$1"; fi; }
native() { if command -v cygpath >/dev/null; then cygpath -w "$1"; else printf '%s' "$1"; fi; }
exe=''
case ${RUNNER_OS:-} in Windows) exe=.exe ;; esac
# A directory with nothing else in it: it goes on PATH.
bin=$(unixlike "${RUNNER_TEMP:?}")/cargo-pyenv-build/bin
program=$bin/cargo-pyenv-build$exe
mkdir -p "$bin"

# 64 digits of a file's SHA-256.
digest_of() {
    if command -v sha256sum >/dev/null; then sha256sum <"$1"; else shasum -a 256 <"$1"; fi | cut -d ' ' -f 1
}

target() {
    case ${RUNNER_OS:-}-${RUNNER_ARCH:-} in
        Linux-X64) echo x86_64-unknown-linux-musl ;;
        Linux-ARM64) echo aarch64-unknown-linux-musl ;;
        macOS-X64) echo x86_64-apple-darwin ;;
        macOS-ARM64) echo aarch64-apple-darwin ;;
        Windows-X64) echo x86_64-pc-windows-msvc ;;
        Windows-ARM64) echo aarch64-pc-windows-msvc ;;
        *) echo none ;;
    esac
}

# Downloads release $1, if `checksums.txt` has one for this runner.
download() {
    local version=$1 digest='' url='' line_version line_target line_digest line_url
    while read -r line_version line_target line_digest line_url; do
        if [ "$line_version" = "$version" ] && [ "$line_target" = "$(target)" ]; then
            digest=$line_digest url=$line_url
        fi
    done <"$here/checksums.txt"
    [ -n "$url" ] || return 1
    local file=$bin/download
    if ! curl --proto '=https' --tlsv1.2 --fail --location --silent --show-error --retry 3 --output "$file" -- "$url"; then
        echo "could not download the release" >&2
        return 1
    fi
    if [ "$(digest_of "$file")" != "$digest" ]; then
        rm -f "$file"
        echo "::error title=cargo pyenv-build::checksum mismatch: the downloaded program does not match the release"
        exit 1
    fi
    mv "$file" "$program"
}

if [ -n "${INPUT_BINARY:-}" ]; then
    cp -- "$(unixlike "$INPUT_BINARY")" "$program"
else
    own=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$here/../Cargo.toml" | head -n 1)
    version=${INPUT_VERSION:-$own}
    if [ -x "$program" ] && [ "$("$program" --version)" = "cargo pyenv-build ${version#v}" ]; then
        echo "already installed by an earlier step"
    elif download "${version#v}"; then
        echo "installed version ${version#v}, and verified its checksum"
    elif [ "${version#v}" = "$own" ]; then
        echo "building cargo-pyenv-build from the action's own checkout, which takes minutes (set the input \`binary\` to avoid this)"
        # In its own directories, without the project's configuration and target directory.
        (cd "$here/.." && CARGO_TARGET_DIR=$(native "$bin/../target") cargo install --locked --no-track --path . --root "$(native "$bin/..")")
    else
        echo "::error title=cargo pyenv-build::no checksum is known for version ${version#v} on this platform (inputs \`version\`, \`binary\`)"
        exit 1
    fi
fi
chmod +x "$program"
"$program" --version
printf 'program=%s\n' "$program" >>"$GITHUB_OUTPUT"
