#!/usr/bin/env python3
"""Prints the licence texts of all libraries that are linked into the program, each text once.

    tools/licences.py TARGET [Cargo.toml]

TARGET is a name such as x86_64-unknown-linux-gnu; each system links different libraries. Everything is read from `cargo metadata`,
of this folder's package or of the one named.
"""

import json
import pathlib
import subprocess
import sys

NAMES = ("licen", "copying", "notice", "unlicense", "copyright")


def linked(metadata):
    """The packages that the program is linked with, without those for tests and build scripts only."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root, found = metadata["resolve"]["root"], set()
    waiting = [root]
    while waiting:
        package = waiting.pop()
        if package in found:
            continue
        found.add(package)
        for dependency in nodes[package]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    found.remove(root)
    return [package for package in metadata["packages"] if package["id"] in found]


def texts(package):
    """The licence files of a package, and those of C sources inside it."""
    folder = pathlib.Path(package["manifest_path"]).parent
    folders = [f for f in (folder, folder / "vendor") if f.is_dir()]
    files = [f for one in folders for f in one.iterdir() if f.is_file() and f.name.lower().startswith(NAMES)]
    if package.get("license_file"):
        files.append(folder / package["license_file"])
    found = [f.read_text(errors="replace").strip() for f in sorted(set(files))]
    if not any(f.parent == folder for f in files):
        found.append(standard(package))
    return found


def standard(package):
    """The standard text of the licence that a package names but does not contain."""
    names = package["license"] or ""
    if "Apache-2.0" in names:
        return pathlib.Path("LICENSE-APACHE").read_text().strip()
    if "MIT" in names:
        whom = ", ".join(package["authors"]) or f"the authors of {package['name']}"
        lines = pathlib.Path("LICENSE-MIT").read_text().strip().splitlines()
        return "\n".join(f"Copyright (c) {whom}" if line.startswith("Copyright") else line for line in lines)
    sys.exit(f"{package['name']} {package['version']} has no licence text; add one for {names or 'it'} to tools/licences.py")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__.strip())
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", sys.argv[1]]
    command += [f"--manifest-path={manifest}" for manifest in sys.argv[2:]]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    packages = sorted(linked(metadata), key=lambda package: (package["name"], package["version"]))
    owners = {}
    print("The libraries inside this program and their licences. The texts follow.\n")
    for package in packages:
        name = f"{package['name']} {package['version']}"
        print(f"{name}: {package['license'] or 'see its text'}, {package['repository'] or 'no address'}")
        for text in texts(package):
            owners.setdefault(text, []).append(name)
    for text, names in owners.items():
        print("\n" + "=" * 80)
        print(", ".join(names) + "\n\n" + text)


if __name__ == "__main__":
    main()
