"""The house: includes point one way, in no circle, and every file says what room it is."""

import re

import pytest

import harness

ROOT = harness.ROOT
SOURCES = sorted(path for path in (ROOT / "src").rglob("*.[ch]"))
SHARED = sorted((ROOT / "include" / "sshecho").glob("*.h"))
LONGEST_LINES = 400
FULLEST_FOLDER = 12
# Tables, which are read a line at a time.
MAY_BE_LONG = {"src/server/config.c"}


def name(path):
    return str(path.relative_to(ROOT))


def owner(path):
    """The file that a header belongs to: itself, or for a shared one the room under src/ that implements it."""
    if path.parent != ROOT / "include" / "sshecho":
        return path
    for folder in ("base", "io"):
        if (ROOT / "src" / folder / f"{path.stem}.c").exists():
            return ROOT / "src" / folder / path.name
    return ROOT / "src" / "base" / path.name  # a header alone (clock.h)


def included(path):
    """What a file includes of ours, as paths."""
    for text in re.findall(r'^#include "([^"]+)"', path.read_text(), re.M):
        for place in (ROOT / "include", ROOT / "src", path.parent):
            if (place / text).exists():
                yield place / text
                break
        else:
            raise AssertionError(f"{name(path)} includes {text}, which is nowhere")


def table():
    allowed = {}
    for line in (ROOT / "test" / "system" / "rooms.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            folder, _, others = line.partition(":")
            allowed[folder] = set(others.split()) | {folder}
    return allowed


def folder_of(path):
    return name(owner(path).parent)


def test_includes_point_one_way():
    allowed = table()
    wrong = [
        f"{name(path)} includes {name(other)}"
        for path in SOURCES + SHARED
        for other in included(path)
        if folder_of(other) not in allowed.get(folder_of(path), set())
    ]
    assert not wrong, "not in test/system/rooms.txt: " + "; ".join(wrong)


def test_the_table_speaks_of_folders_that_are_there():
    folders = {folder_of(path) for path in SOURCES}
    assert set(table()) == folders


def inner(stem):
    """The room that a header inside of one belongs to: options_internal and settings_parts are options and settings."""
    return stem.removesuffix("_internal").removesuffix("_parts")


def room(path):
    """A header and its source are one room; so are the files behind an internal header (options_file.c is options)."""
    stem = inner(owner(path).stem)
    parent = owner(path).parent
    for other in parent.glob("*.h"):
        if inner(other.stem) != other.stem and stem.startswith(inner(other.stem) + "_"):
            stem = inner(other.stem)
    return f"{name(parent)}/{stem}"


def arrows():
    found = {}
    for path in SOURCES + SHARED:
        here = room(path)
        found.setdefault(here, set()).update(room(other) for other in included(path) if room(other) != here)
    return found


def circles_in(graph):
    """The sets of rooms in which each leads to each other (Tarjan's strongly connected components)."""
    order, lowest, stack, found = {}, {}, [], []

    def visit(node):
        order[node] = lowest[node] = len(order)
        stack.append(node)
        for following in sorted(graph.get(node, ())):
            if following not in order:
                visit(following)
                lowest[node] = min(lowest[node], lowest[following])
            elif following in stack:
                lowest[node] = min(lowest[node], order[following])
        if lowest[node] == order[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(set(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return sorted(found, key=sorted)


def test_the_search_finds_circles():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a", "e"}, "e": {"d"}}
    assert circles_in(graph) == [{"a", "b", "c"}, {"d", "e"}]
    assert circles_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_circles():
    assert circles_in(arrows()) == []


@pytest.mark.parametrize("path", [path for path in SOURCES + SHARED if path.suffix == ".h"], ids=name)
def test_every_header_says_what_room_it_is(path):
    text = path.read_text()
    assert re.match(rf"/\*\n \* {re.escape(path.name)} - (room|inside the room)", text), "no '/* NAME - room: ...'"


def test_every_source_has_a_header_or_says_what_it_is():
    """A source without a header of its name begins by saying whose part it is."""
    headers = {path.stem for path in SOURCES + SHARED if path.suffix == ".h"}
    alone = [path for path in SOURCES if path.suffix == ".c" and path.stem not in headers]
    silent = [name(path) for path in alone if not path.read_text().startswith("/*")]
    assert not silent, f"no header and no first comment: {silent}"


def map_rows():
    """README's map: what is named in the row of each folder, with `_part` behind `room` as room_part."""
    rows = re.findall(r"^\| `(src/[a-z/]*)/` \|(.*)\|$", (ROOT / "README.md").read_text(), re.M)
    named = {}
    for folder, text in rows:
        whole = ""
        for word in re.findall(r"`([a-z_.]+)`", text):
            whole = whole if word.startswith("_") else word
            named.setdefault(folder, set()).add(whole + word if word.startswith("_") else word)
    return named


def test_the_map_names_every_folder_and_source():
    wanted = {}
    for path in SOURCES:
        if path.suffix == ".c":
            wanted.setdefault(name(path.parent), set()).add(path.stem)
    named = map_rows()
    missing = {folder: stems - named.get(folder, set()) for folder, stems in wanted.items()}
    assert not any(missing.values()), f"the map in README.md omits {missing}"


def test_the_map_names_nothing_that_is_not_there():
    gone = {
        f"{folder}/{word}"
        for folder, words in map_rows().items()
        for word in words
        for stem in [word.removesuffix(".h")]
        if not list((ROOT / folder).glob(f"{stem}.[ch]")) and not (ROOT / "include/sshecho" / f"{stem}.h").exists()
    }
    assert not gone, f"the map in README.md names {gone}"


def test_the_table_of_the_design_names_every_folder():
    design = (ROOT / "docs" / "design.md").read_text()
    folders = {name(path.parent) for path in SOURCES} - {"src/server", "src/load"}
    missing = [folder for folder in sorted(folders) if f"`{folder}/`" not in design]
    assert not missing, f"the table in docs/design.md omits {missing}"


def test_no_folder_is_a_hall_and_no_file_a_scroll():
    counts = {}
    for path in SOURCES:
        counts[name(path.parent)] = counts.get(name(path.parent), 0) + (path.suffix == ".c")
    full = {folder: count for folder, count in counts.items() if count > FULLEST_FOLDER}
    assert not full, f"more than {FULLEST_FOLDER} sources: {full}"
    lines = {name(path): len(path.read_text().splitlines()) for path in SOURCES + SHARED}
    long = {path for path, count in lines.items() if count > LONGEST_LINES and path not in MAY_BE_LONG}
    assert not long, {path: lines[path] for path in long}
