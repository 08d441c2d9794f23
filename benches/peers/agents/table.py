"""The tables of a run: in docs/measurements.md, and those rows of them that the README repeats."""

from measures import README, ROWS
from scratch import ROOT

BEGIN, END = "<!-- peers: begin -->\n", "<!-- peers: end -->\n"
MISSING = "—"


def group(name, titles, figures, labels):
    """Returns the table of the managers of one agent. `figures` is by title, then by row."""
    lines = [f"| {name} | " + " | ".join(titles) + " |", "| --- |" + " --- |" * len(titles)]
    for key, label in labels.items():
        cells = [figures[title].get(key, MISSING) for title in titles]
        if any(cell != MISSING for cell in cells):
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def document(machine, groups, figures, reasons, labels):
    """Returns all tables, with what did not run below them."""
    parts = [f"One run of `make bench-peers` on {machine}.\n"]
    parts += [group(name, titles, figures, labels) for name, titles in groups.items()]
    if reasons:
        parts.append("".join(f"- {title} did not run: {reason}\n" for title, reason in reasons.items()))
    return "\n".join(parts)


def readme(text):
    """Returns the README's table, made of the tables of docs/measurements.md."""
    figures, labels = parse(text)
    titles = [title for title in figures if "alone" not in title]
    wanted = [label for label in labels if any(is_row(label, key) for key in README)]
    lines = ["| | " + " | ".join(titles) + " |", "| --- |" + " --- |" * len(titles)]
    for label in wanted:
        lines.append(f"| {label} | " + " | ".join(figures[title].get(label, MISSING) for title in titles) + " |")
    return "\n".join(lines) + "\n"


def is_row(label, key):
    """Returns true if a label is that of a row, with or without its number of rounds."""
    return label.partition(" [")[0] == ROWS[key]


def parse(text):
    """Returns the figures of the tables between the marks, by title and label, and the labels in their order."""
    figures, labels, titles = {}, [], None
    for line in between(text)[1].splitlines():
        if not line.startswith("|"):
            titles = None
            continue
        label, *cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if set(label) == {"-"}:
            continue
        if titles is None:
            titles = cells
            figures |= {title: {} for title in titles}
            continue
        labels += [label] if label not in labels else []
        for title, cell in zip(titles, cells):
            figures[title][label] = cell
    order = {value: place for place, value in enumerate(ROWS.values())}
    return figures, sorted(labels, key=lambda label: order[label.partition(" [")[0]])


def between(text):
    """Returns what is before the marks, between them and after them."""
    before, begin, rest = text.partition(BEGIN)
    inside, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit("the document has no marks for the table of peers")
    return before, inside, after


def write(tables):
    """Writes the tables into docs/measurements.md, and the README's rows of them into the README."""
    page, front = ROOT / "docs/measurements.md", ROOT / "README.md"
    before, _, after = between(page.read_text())
    page.write_text(f"{before}{BEGIN}{tables}{END}{after}")
    before, _, after = between(front.read_text())
    front.write_text(f"{before}{BEGIN}{readme(page.read_text())}{END}{after}")
