"""Renders the files in benches/results: tables of docs/benchmarks.md, plots in docs/benchmarks, and every measured number
in README.md and the other pages.

    cargo bench --bench warm -- --json benches/results/warm.json
    python3 benches/render.py            write them
    python3 benches/render.py --check    fail if one of them differs from the files in benches/results

A file is one run of one bench, with every single time; see benches/common/results.rs. Nothing but the standard library.
Text between `<!-- measured: NAME -->` and `<!-- end of measured -->` is replaced by what `MEASURED` makes under NAME.
"""

import argparse
import json
import pathlib
import re
import statistics
import sys
from xml.sax.saxutils import escape, quoteattr

BEGIN = "<!-- results -->\n"
END = "<!-- end of results -->\n"
BLOCK = re.compile(r"(<!-- measured: ([a-z ]+) -->\n).*?(<!-- end of measured -->\n)", re.DOTALL)
SCHEMA = 1
OURS = "cargo-pyenv-build"
# Steps of a CI job (benches/job.rs), and the colours of the picture: ours, others.
STEPS = {"wheel": ("#e8590c", "#495057"), "clippy": ("#ff922b", "#868e96"), "test": ("#ffc078", "#adb5bd")}
PICTURE = "second-job.svg"

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


def median(row: dict) -> float:
    return statistics.median(row["seconds"])


def short(value: float) -> str:
    """For prose: two digits."""
    return "%.2g" % value if value < 10 else "%.0f" % value


class SecondJob:
    """The second CI job of one project, by set-up: the whole, and its steps."""

    def __init__(self, project: str, tables: list):
        self.project = project
        whole = next(table for table in tables if table["title"] == project + ", the second job")
        self.whole = {row["name"]: median(row) for row in whole["rows"]}
        self.steps = {}
        for step in STEPS:
            table = next((table for table in tables if table["title"] == "%s, the second job: %s" % (project, step)), None)
            self.steps[step] = {row["name"]: median(row) for row in table["rows"]} if table else {}


def second_jobs(runs: dict) -> list:
    tables = runs["job"]["tables"] if "job" in runs else []
    projects = [table["title"][: -len(", the second job")] for table in tables if table["title"].endswith(", the second job")]
    return [SecondJob(project, tables) for project in projects]


def picture(jobs: list) -> str:
    """Stacked bars of the steps: a group for each project, on a scale of its own."""
    room = WIDTH - LABELS - 80
    head = 26
    height = sum(head + ROW * len(job.whole) for job in jobs) + ROW
    title = "Seconds of a second CI job in which nothing changed: wheel, clippy, tests"
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label=%s font-family="sans-serif" font-size="13">'
        % (WIDTH, height, quoteattr(title)),
        "<title>%s</title>" % escape(title),
    ]
    top = 0.0
    for job in jobs:
        lines.append('<text x="%d" y="%.1f" font-weight="bold" fill="#868e96">%s</text>' % (LABELS, top + 18, escape(job.project)))
        top += head
        longest = max(job.whole.values())
        for name, seconds_of_all in job.whole.items():
            middle, left = top + ROW / 2, float(LABELS)
            is_ours = name.startswith(OURS)
            weight = ' font-weight="bold"' if is_ours else ""
            lines.append(
                '<text x="%d" y="%.1f" text-anchor="end"%s fill="#868e96">%s</text>' % (LABELS - 8, middle + 4, weight, escape(name))
            )
            for step, (ours, others) in STEPS.items():
                length = room * job.steps[step].get(name, 0.0) / longest
                colour = ours if is_ours else others
                lines.append('<rect x="%.1f" y="%.1f" width="%.1f" height="%d" fill="%s"/>' % (left, middle - BAR / 2, length, BAR, colour))
                left += length
            lines.append('<text x="%.1f" y="%.1f"%s fill="#868e96">%s s</text>' % (left + 6, middle + 4, weight, short(seconds_of_all)))
            top += ROW
    left = float(LABELS)
    for step, (ours, others) in STEPS.items():
        for colour in (ours, others):
            lines.append('<rect x="%.1f" y="%.1f" width="10" height="10" fill="%s"/>' % (left, top + 10, colour))
            left += 12
        lines.append('<text x="%.1f" y="%.1f" fill="#868e96">%s</text>' % (left + 2, top + 19, step))
        left += 70
    return "\n".join(lines + ["</svg>\n"])


def headline(runs: dict) -> list:
    """One sentence: the first project's second job, ours beside the others."""
    job = second_jobs(runs)[0]
    others = " and ".join("%s s with %s" % (short(time), name) for name, time in job.whole.items() if not name.startswith(OURS))
    return [
        "> A second CI job of `%s` (wheel, clippy and tests in a fresh checkout, nothing changed)" % job.project,
        "> takes **%s s**. It takes %s. Restoring caches is not counted." % (short(job.whole[OURS]), others),
    ]


def drawing(folder: str) -> list:
    return ["![Seconds of the second CI job by set-up: wheel, clippy, tests](%s/%s)" % (folder, PICTURE)]


def table_of(runs: dict, name: str) -> list:
    lines = []
    for table in runs[name]["tables"]:
        lines += ["**%s** (seconds)" % table["title"], "", *tabulated(table), ""]
    return lines[:-1]


def shared_machines(runs: dict) -> list:
    if not runs.get("shared", {}).get("tables"):
        return []
    lines = ["| project | %s |" % " | ".join(row["name"] for row in runs["shared"]["tables"][0]["rows"])]
    lines.append("| --- |" + " --: |" * len(runs["shared"]["tables"][0]["rows"]))
    for table in runs["shared"]["tables"]:
        cells = ["%s s, %d requests" % (seconds(median(row)), row["requests"]) for row in table["rows"]]
        lines.append("| %s | %s |" % (table["title"].split(",")[0], " | ".join(cells)))
    return lines


def shared_day(runs: dict) -> list:
    day = runs.get("shared", {}).get("day")
    if not day:
        return []
    each, plan = day["each"], day["plan"]
    return [
        "| | measured: %d crates, per job | planned: 500 crates, 1,000 jobs a day |" % day["crates"],
        "| --- | --: | --: |",
        "| crates compiled, reused | %.1f, %.1f | |" % (each["compiled"], each["reused"]),
        "| reads (GET) | %.0f | %s a day |" % (each["GET"], "{:,.0f}".format(plan["gets_per_day"])),
        "| look-ups (HEAD) | %.1f | %s a day |" % (each["HEAD"], "{:,.0f}".format(plan["heads_per_day"])),
        "| writes (PUT) and lists | %.1f | %s a day |" % (each["PUT"] + each["LIST"], "{:,.0f}".format(plan["puts_per_day"])),
        "| fetched | %.1f MB | %.0f GB a day, from empty machines |" % (each["fetched"] / 1e6, plan["fetched_bytes_per_day"] / 1e9),
        "| kept | | %.0f GB |" % (plan["stored_bytes"] / 1e9),
        "| cost, with S3's prices for requests and storage | | %.0f dollars a month |" % plan["dollars_per_month"],
    ]


# By name: what makes the lines, of the runs by the names of their files.
MEASURED = {
    "second job": headline,
    "picture for the readme": lambda runs: drawing("docs/benchmarks"),
    "picture for pages": lambda runs: drawing("benchmarks"),
    "picture for questions": lambda runs: drawing("../benchmarks"),
    "reuse": lambda runs: table_of(runs, "reuse"),
    "checkout": lambda runs: table_of(runs, "checkout"),
    "shared machines": shared_machines,
    "shared day": shared_day,
}


def measured(text: str, runs: dict) -> str:
    def block(match: re.Match) -> str:
        lines = MEASURED[match[2]](runs)
        return match[1] + "".join(line + "\n" for line in lines) + match[3]

    return BLOCK.sub(block, text)


def rendered(runs: dict) -> tuple:
    """The text for the page, and the plots by name."""
    lines, plots = [], {}
    for name_of_run, run in runs.items():
        machine = run["machine"]
        processor = ", " + machine["processor"] if machine.get("processor") else ""
        lines += ["", "## %s" % name_of_run, ""]
        lines.append(
            "`%s` with cargo-pyenv-build %s, %s; %s %s, %d processors%s."
            % (run["bench"], run["program"], machine["rustc"], machine["os"], machine["arch"], machine["processors"], processor)
        )
        for index, table in enumerate(run["tables"], 1):
            name = "%s-%d.svg" % (name_of_run, index)
            rounds = max(len(row["seconds"]) for row in table["rows"])
            how = "%d rounds, in turn" % rounds if rounds > 1 else "once each"
            lines += ["", "**%s** (%s; seconds)" % (table["title"], how), ""]
            lines += tabulated(table)
            lines += ["", "![%s](benchmarks/%s)" % (table["title"].replace("[", "(").replace("]", ")"), name)]
            plots[name] = plotted(table)
    if second_jobs(runs):
        plots[PICTURE] = picture(second_jobs(runs))
    if not lines:
        lines = ["", "No run has been added yet. The commands above make one."]
    return "\n".join(lines) + "\n\n", plots


def main() -> int:
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Renders what the benches wrote: tables, plots and measured numbers.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if something would be")
    parser.add_argument("--results", type=pathlib.Path, default=here / "results")
    parser.add_argument("--docs", type=pathlib.Path, default=here.parent / "docs")
    options = parser.parse_args()
    runs = {path.stem: read(path) for path in sorted(options.results.glob("*.json"))}
    text, plots = rendered(runs)
    page = options.docs / "benchmarks.md"
    pages = sorted(options.docs.rglob("*.md")) + [path for path in [options.docs.parent / "README.md"] if path.exists()]
    wanted = {path: measured(path.read_text(encoding="utf-8"), runs) for path in pages}
    before, rest = wanted[page].split(BEGIN)
    after = rest.split(END)[1]
    wanted[page] = before + BEGIN + text + END + after
    wanted.update({options.docs / "benchmarks" / name: plot for name, plot in plots.items()})
    existing = set((options.docs / "benchmarks").glob("*.svg"))
    different = [path for path, content in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != content]
    different += sorted(existing - set(wanted))
    if options.check:
        for path in different:
            print("%s differs from the results: run `python3 benches/render.py`" % path)
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
