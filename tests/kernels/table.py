"""Prints what the kernel suite found as one Markdown table: a row a check, a column a machine. Ends with 1 if any check failed."""
import pathlib
import sys

folder, suites = pathlib.Path(sys.argv[1]), sys.argv[2:]
cells, order, failed = {}, [], []
for suite in suites:
    for line in (folder / f"{suite.replace('/', '-')}.tsv").read_text(errors="replace").splitlines():
        parts = line.split("\t")
        if len(parts) != 3 or parts[0] not in ("ok", "FAIL", "note"):
            continue
        result, name, detail = parts
        if name not in order:
            order.append(name)
        word = {"ok": "yes", "FAIL": "**no**", "note": ""}[result]
        cells[name, suite] = ": ".join(filter(None, [word, detail.replace("|", "/")]))
        if result == "FAIL":
            failed.append(f"{suite}: {name}: {detail}")
print("| what | " + " | ".join(suites) + " |")
print("|--|" + "--|" * len(suites))
for name in order:
    print(f"| {name} | " + " | ".join(cells.get((name, suite), "not run") for suite in suites) + " |")
print()
print("\n".join(failed) if failed else "nothing failed")
sys.exit(bool(failed))
