"""Which licences the tools of the end-to-end tests are under, and which of them nothing here may be built with.

Reads licence files of Go's module cache, `package.json` files, cargo's metadata and Debian's copyright files. Knows
nothing of how a tool is made (`toolchain.py`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REFUSED = {
    "AGPL": r"affero general public licen[cs]e|\bagpl\b",
    "SSPL": r"server side public licen[cs]e|\bsspl\b",
    "BUSL": r"business source licen[cs]e|\bbusl\b",
}
"""Licences under which nothing is built, and patterns by which their text or their SPDX identifier is recognised."""
WITHOUT_A_FILE = {"github.com/leodido/go-urn@v1.1.0": "MIT", "precond@0.2.3": "MIT"}
"""What comes without a licence file, and the licence that its README names, or that later versions have."""
KNOWN = {
    "Apache-2.0": r"apache license,? version 2\.0|apache license\s+version 2\.0",
    "MPL-2.0": r"mozilla public license,? v(ersion|\.) ?2\.0",
    "LGPL": r"gnu lesser general public license",
    "GPL": r"gnu general public license",
    "MIT": r"permission is hereby granted, free of charge, to any person obtaining a copy",
    "ISC": r"permission to use, copy, modify, and(/or)? distribute this software for any purpose",
    "BSD": r"redistribution and use in source and binary forms",
    "Unlicense": r"this is free and unencumbered software released into the public domain",
    "CC0": r"cc0 1\.0 universal|creative commons legal code",
    "zlib": r"this software is provided 'as-is', without any express or implied warranty",
}
"""Patterns of the other licences, in the order in which they are tried: a text names those before it at most."""
LICENCE_FILES = re.compile(r"(licen[cs]e|copying|unlicense)([.\-_].*)?$", re.IGNORECASE)
TITLE_CHARS = 600
"""Where a text that quotes other licences further down names its own."""


class LicenceError(Exception):
    """A module is under a licence with which nothing is built here, or its licence cannot be found."""

    def __init__(self, module: str, reason: str) -> None:
        super().__init__(f"{module}: {reason}")
        self.module = module
        self.reason = reason


@dataclass(frozen=True, slots=True, order=True)
class Module:
    """A Go module at one version."""

    path: str
    version: str

    def __str__(self) -> str:
        return f"{self.path}@{self.version}"


def squeezed(text: str) -> str:
    """Return the text in lower case with every run of white space as one space."""
    return " ".join(text.lower().split())


def refused(text: str) -> str | None:
    """Return which of the refused licences a licence file holds, or None.

    The GPL's own text mentions the Affero licence in its section 13, so a mention counts only near the beginning.
    """
    words = squeezed(text)
    return next((name for name, pattern in REFUSED.items() if re.search(pattern, words[:TITLE_CHARS])), None)


def name_of(text: str) -> str | None:
    """Return the licence of a text by its usual short name, or None if it is not known."""
    if (name := refused(text)) is not None:
        return name
    words = squeezed(text)
    return next((name for name, pattern in KNOWN.items() if re.search(pattern, words)), None)


def licence_files(folder: Path) -> list[Path]:
    """Return the licence files in a folder itself, sorted by name."""
    return sorted(path for path in folder.iterdir() if path.is_file() and LICENCE_FILES.match(path.name))


def licence_of(module: str, folder: Path) -> str:
    """Return the licences of the module in `folder`, joined by `and`; LicenceError if it is refused or unknown."""
    names: list[str] = []
    for path in licence_files(folder):
        text = path.read_text(encoding="utf-8", errors="replace")
        if (found := refused(text)) is not None:
            raise LicenceError(module, f"{path.name} is the {found}, with which nothing is built here")
        if (name := name_of(text)) is not None and name not in names:
            names.append(name)
    if not names and module in WITHOUT_A_FILE:
        return WITHOUT_A_FILE[module]
    if not names:
        raise LicenceError(module, f"no licence is recognised in {folder}")
    return " and ".join(names)


def go(arguments: Sequence[str], *, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    """Return the standard output of a go command; subprocess.CalledProcessError when it fails."""
    environment = os.environ | {"GOWORK": "off"} | dict(environment or {})
    return subprocess.run(
        ["go", *arguments], check=True, cwd=cwd, env=environment, capture_output=True, text=True
    ).stdout


def module_cache(cwd: Path) -> Path:
    """Return the folder in which go keeps the modules that it has downloaded."""
    return Path(go(["env", "GOMODCACHE"], cwd=cwd).strip())


def cached(module: Module, cache: Path) -> Path:
    """Return a module's folder in the module cache, where `!a` stands for `A` (Go modules reference)."""
    escaped = re.sub(r"[A-Z]", lambda letter: f"!{letter[0].lower()}", str(module))
    return cache / escaped


def modules_of(binary: Path) -> list[Module]:
    """Return the modules linked into a Go program, its own first, as the program itself records them."""
    return list(_recorded(go(["version", "-m", str(binary)], cwd=binary.parent)))


def _recorded(listing: str) -> Iterator[Module]:
    """Parse `go version -m`: a line `=>` replaces the module of the line before it."""
    found: list[Module] = []
    for line in listing.splitlines():
        match line.split():
            case ["mod" | "dep", path, version, *_]:
                found.append(Module(path, version))
            case ["=>", path, version, *_]:
                found[-1] = Module(path, version)
    # A main module that is built in its own folder has no version; whoever built it knows which folder that was.
    yield from (module for module in found if module.version != "(devel)")


def modules_needed(folder: Path, package: str, *flags: str) -> dict[Module, Path]:
    """Return the modules from which a package is going to be compiled, with their folders; nothing is compiled.

    `folder` is that of a main module. Modules that its `replace` lines take from a local folder are the main module's.
    """
    template = (
        "{{with .Module}}{{.Path}}\t{{.Version}}\t{{.Dir}}\t{{with .Replace}}{{.Path}}\t{{.Version}}{{end}}{{end}}"
    )
    listing = go(["list", "-deps", *flags, "-f", template, package], cwd=folder)
    found: dict[Module, Path] = {}
    for line in filter(None, listing.splitlines()):
        path, version, directory, *replaced = line.split("\t")
        if len(replaced) == 2 and replaced[1]:
            path, version = replaced
        if Path(directory) != folder:
            found[Module(path, version)] = Path(directory)
    return found


def check(folders: Mapping[Module, Path]) -> dict[Module, str]:
    """Return the licence of each module; LicenceError for the first that is refused or unknown."""
    return {module: licence_of(str(module), folder) for module, folder in sorted(folders.items())}


def of_binary(binary: Path) -> dict[Module, str]:
    """Return the licence of every module that is linked into a Go program; LicenceError as `check`."""
    cache = module_cache(binary.parent)
    return check({module: cached(module, cache) for module in modules_of(binary)})


def of_npm(folder: Path) -> dict[str, str]:
    """Return the licence of every npm package below `node_modules`, by its package.json or else its licence file."""
    found = {}
    for path in sorted(folder.glob("**/package.json")):
        if path.parent.parent.name == "node_modules" or path.parent.parent.parent.name == "node_modules":
            facts = json.loads(path.read_text(encoding="utf-8"))
            if "name" in facts and "version" in facts:
                package = f"{facts['name']}@{facts['version']}"
                found[package] = str(facts.get("license") or licence_of(package, path.parent))
    return found


def of_cargo(manifest: Path) -> dict[str, str]:
    """Return the licence of every crate that a manifest needs, as the crates state it, its own left out."""
    command = ["cargo", "metadata", "--format-version", "1", "--manifest-path", str(manifest)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {
        f"{package['name']}@{package['version']}": str(package["license"] or "")
        for package in json.loads(done.stdout)["packages"]
        if package["source"] is not None
    }


def counted(licences: Iterable[str]) -> str:
    """Return how many have which licence, the most frequent first: `Apache-2.0 12, MIT 3`."""
    numbers: dict[str, int] = {}
    for each in licences:
        numbers[each] = numbers.get(each, 0) + 1
    return ", ".join(f"{name} {count}" for name, count in sorted(numbers.items(), key=lambda each: (-each[1], each[0])))
