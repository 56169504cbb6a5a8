"""Makes the tables of docs/benchmarks.md, and the plots in docs/benchmarks, of the files that the benches write.

    cargo bench --bench warm -- --json benches/results/warm.json
    python3 benches/render.py            writes them
    python3 benches/render.py --check    says whether they are what the files in benches/results say

A file is one run of one bench, with every single time; see benches/common/results.rs. Nothing but the standard library.
"""

import argparse
import json
import pathlib
import statistics
import sys
from xml.sax.saxutils import escape, quoteattr

BEGIN = "<!-- results -->\n"
END = "<!-- end of results -->\n"
SCHEMA = 1

WIDTH = 760
LABELS = 260
ROW = 30
BAR = 16


def read(path: pathlib.Path) -> dict:
    run = json.loads(path.read_text(encoding="utf-8"))
    if run.get("schema") != SCHEMA:
        sys.exit("%s: the schema is %r, not %d" % (path, run.get("schema"), SCHEMA))
    for table in run["tables"]:
        for row in table["rows"]:
            if not row["seconds"]:
                sys.exit("%s: `%s` was not timed" % (path, row["name"]))
    return run


def ratio(table: dict, row: dict) -> str:
    """The median of the ratios round by round: the reference to this row."""
    reference = next(other for other in table["rows"] if other["name"] == table["reference"])
    if row is reference:
        return ""
    pairs = [one / other for one, other in zip(reference["seconds"], row["seconds"]) if other > 0]
    return "%.2f" % statistics.median(pairs) if pairs else ""


def seconds(value: float) -> str:
    return "%.3f" % value if value < 10 else "%.1f" % value


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def tabulated(table: dict) -> list:
    lines = ["| | min | median | max | %s / this |" % cell(table["reference"]), "| --- | --: | --: | --: | --: |"]
    for row in table["rows"]:
        times = row["seconds"]
        numbers = [min(times), statistics.median(times), max(times)]
        cells = [cell(row["name"])] + [seconds(number) for number in numbers] + [ratio(table, row)]
        lines.append("| %s |" % " | ".join(cells))
    return lines


def plotted(table: dict) -> str:
    """Bars of medians, with a line from the least to the greatest."""
    rows = table["rows"]
    height = ROW * len(rows) + 8
    room = WIDTH - LABELS - 80
    longest = max(max(row["seconds"]) for row in rows) or 1.0
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label=%s font-family="sans-serif" font-size="13">'
        % (WIDTH, height, quoteattr(table["title"]))
    ]
    for index, row in enumerate(rows):
        times = row["seconds"]
        top = index * ROW + 4
        middle = top + ROW / 2
        length = room * statistics.median(times) / longest
        colour = "#e8590c" if row["name"] == table["reference"] else "#868e96"
        low, high = (LABELS + room * value / longest for value in (min(times), max(times)))
        lines += [
            '<text x="%d" y="%.1f" text-anchor="end" fill="#868e96">%s</text>' % (LABELS - 8, middle + 4, escape(row["name"])),
            '<rect x="%d" y="%.1f" width="%.1f" height="%d" fill="%s"/>' % (LABELS, middle - BAR / 2, max(length, 0.5), BAR, colour),
            '<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#343a40"/>' % (low, middle, high, middle),
            '<text x="%.1f" y="%.1f" fill="#868e96">%s s</text>' % (high + 6, middle + 4, seconds(statistics.median(times))),
        ]
    return "\n".join(lines + ["</svg>\n"])


def rendered(results: pathlib.Path) -> tuple:
    """The text for the page, and the plots by name."""
    lines, plots = [], {}
    for path in sorted(results.glob("*.json")):
        run = read(path)
        machine = run["machine"]
        processor = ", " + machine["processor"] if machine.get("processor") else ""
        lines += ["", "## %s" % path.stem, ""]
        lines.append(
            "`%s` with cargo-pyenv-build %s, %s; %s %s, %d processors%s."
            % (run["bench"], run["program"], machine["rustc"], machine["os"], machine["arch"], machine["processors"], processor)
        )
        for index, table in enumerate(run["tables"], 1):
            name = "%s-%d.svg" % (path.stem, index)
            rounds = max(len(row["seconds"]) for row in table["rows"])
            how = "%d rounds, in turn" % rounds if rounds > 1 else "once each"
            lines += ["", "**%s** (%s; seconds)" % (table["title"], how), ""]
            lines += tabulated(table)
            lines += ["", "![%s](benchmarks/%s)" % (table["title"].replace("[", "(").replace("]", ")"), name)]
            plots[name] = plotted(table)
    if not lines:
        lines = ["", "No run has been added yet. The commands above make one."]
    return "\n".join(lines) + "\n\n", plots


def main() -> int:
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Makes tables and plots of what the benches wrote.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if something would be")
    parser.add_argument("--results", type=pathlib.Path, default=here / "results")
    parser.add_argument("--docs", type=pathlib.Path, default=here.parent / "docs")
    options = parser.parse_args()
    text, plots = rendered(options.results)
    page = options.docs / "benchmarks.md"
    old = page.read_text(encoding="utf-8")
    before, rest = old.split(BEGIN)
    after = rest.split(END)[1]
    wanted = {page: before + BEGIN + text + END + after}
    wanted.update({options.docs / "benchmarks" / name: plot for name, plot in plots.items()})
    existing = set((options.docs / "benchmarks").glob("*.svg"))
    different = [path for path, content in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != content]
    different += sorted(existing - set(wanted))
    if options.check:
        for path in different:
            print("%s is not what the results say: run `python3 benches/render.py`" % path)
        return 1 if different else 0
    for path in different:
        if path in wanted:
            path.parent.mkdir(exist_ok=True)
            with path.open("w", encoding="utf-8", newline="\n") as file:
                file.write(wanted[path])
        else:
            path.unlink()
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
