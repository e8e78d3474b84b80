#!/usr/bin/env python3
"""Measures this crate against what people would use instead: `python3 benches/peers/run.py --builds 3`.

Everything stays on loopback. Contenders run in turn (A B A B ...), must print the same and ask the server the same number of
times; every figure is a median, every ratio one of medians of this run.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target"))
BIN = TARGET / "release"
PAUSE = 30  # ms: the slow server's before a page, and the caller's after it
# No proxy and nobody's key: what a contender finds in its environment is this.
ENV = {"PATH": os.environ["PATH"], "POSTHOG_PERSONAL_API_KEY": "phx_loopback"}
MB = 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11, help="rounds of the long jobs; single values get ten times as many")
    parser.add_argument("--builds", type=int, default=0, metavar="N", help="also N clean builds of each, a minute a round")
    options = parser.parse_args()
    rounds = options.rounds

    for package in ["server", "ours", "plain", "with-reqwest", "decode"]:
        # One by one: a build of several would give each the features of all.
        cargo("build", "-q", "--release", "--locked", "-p", package)
    python = [python_with_requests(), str(HERE / "peer.py")]
    tools = {"ours": [BIN / "ours"], "plain": [BIN / "plain"], "reqwest": [BIN / "with-reqwest"], "python": python}
    one = {"ours": [BIN / "ours-one"], "plain": [BIN / "plain-one"], "reqwest": [BIN / "with-reqwest-one"], "python": [*python, "one"]}
    job = lambda *args: {name: [*command, *args] for name, command in tools.items()}

    note("single values, and 2,000 GETs")
    # On one core with the server: waking another virtual core takes longer than the whole request, and not twice the same time.
    with one_core(), server() as urls:
        single = in_turn(one, urls.http, rounds * 10)
        tls = in_turn(job("tls", urls.ca), urls.https, rounds * 10)
        gets = in_turn(job("gets", "2000"), urls.http, rounds)

    with server() as urls:
        note("100 pages")
        pages = in_turn(job("persons"), urls.http, rounds)
        free = in_turn(job("gets", "2000"), urls.http, rounds)
        note("decode and prefetch")
        decode = [[float(ms) for ms in run([BIN / "decode"], urls.http).out.split()] for _ in range(rounds)]
        ahead = {n: [*tools["ours"], "persons", str(n), str(PAUSE)] for n in (2, 0)}
        prefetch = in_turn(ahead, urls.slow, 3, project=20)
        note("memory")
        few = peak_memory(tools["ours"], urls.http, rounds, project=5)
        memory = {name: peak_memory(command, urls.http, rounds) for name, command in tools.items()}
        note("instructions")
        counted = {name: tools[name] for name in ("ours", "plain", "reqwest")}
        page_instructions = {name: instructions([*command, "persons"], urls.http) for name, command in counted.items()}
        get_instructions = {name: instructions([*command, "gets", "2000"], urls.http) for name, command in counted.items()}

    packages = {"ours": "ours", "plain": "plain", "reqwest": "with-reqwest"}
    size = {name: (BIN / f"{package}-one").stat().st_size for name, package in packages.items()}
    crates = {name: len(tree(package)) for name, package in packages.items()}
    builds = clean_builds(packages, options.builds)

    median_of = lambda samples, key: {name: statistics.median(getattr(s, key) for s in all_of) for name, all_of in samples.items()}
    text, items, typed = map(statistics.median, zip(*decode))
    figures = [
        ("one value, wall ms", scale(median_of(single, "wall"), 1e3)),
        ("one value, cpu ms", scale(median_of(single, "cpu"), 1e3)),
        ("one value over TLS, cpu ms", scale(median_of(tls, "cpu"), 1e3)),
        ("2,000 GETs, wall s", median_of(gets, "wall")),
        ("2,000 GETs, wall s, free to use both cores", median_of(free, "wall")),
        ("2,000 GETs, cpu s", median_of(gets, "cpu")),
        ("2,000 GETs, connections", {name: all_of[0].connections for name, all_of in gets.items()}),
        ("2,000 GETs, 10⁶ instructions", scale(get_instructions, 1e-6)),
        ("100 pages, wall s", median_of(pages, "wall")),
        ("100 pages, cpu s", median_of(pages, "cpu")),
        ("100 pages, 10⁶ instructions", scale(page_instructions, 1e-6)),
        ("100 pages, peak memory MB", scale(memory, 1 / MB)),
        ("one-value binary, stripped, MB", scale(size, 1 / MB)),
        ("crates that it needs", crates),
        ("clean release build, cpu s", builds),
    ]
    print("\n| median | ours | plain | reqwest | python |\n| --- | --- | --- | --- | --- |")
    for measure, by_name in figures:
        print(f"| {measure} | " + " | ".join(show(by_name.get(name)) for name in tools) + " |")

    wall, cpu = median_of(pages, "wall"), median_of(single, "cpu")
    ratio = lambda by_name, other: by_name["ours"] / by_name[other] if by_name.get("ours") else None
    ahead = median_of(prefetch, "wall")
    targets = [
        ("instructions, 100 pages", "plain", 1.02, ratio(page_instructions, "plain")),
        ("instructions, 2,000 GETs", "plain", 1.05, ratio(get_instructions, "plain")),
        ("wall, 100 pages", "reqwest", 0.80, ratio(wall, "reqwest")),
        ("wall, 2,000 GETs", "reqwest", 0.85, ratio(median_of(gets, "wall"), "reqwest")),
        ("whole one-value process, cpu", "reqwest", 0.35, ratio(cpu, "reqwest")),
        ("whole one-value process over TLS, cpu", "reqwest", 0.12, ratio(median_of(tls, "cpu"), "reqwest")),
        ("whole one-value process, wall", "python", 0.02, ratio(median_of(single, "wall"), "python")),
        ("wall, 100 pages", "python", 0.40, ratio(wall, "python")),
        ("items_as into a small struct, wall of the decode", "items()", 0.40, (typed - text) / (items - text)),
        (f"prefetch(2), server {PAUSE} ms a page, caller {PAUSE} ms a page", "prefetch(0)", 0.60, ahead[2] / ahead[0]),
        ("peak memory, 100 pages, items()", "5 pages", 1.10, memory["ours"] / few),
        ("stripped one-value binary", "plain", 1.05, ratio(size, "plain")),
        ("crates in the tree", "", 32, len(tree(None))),
        ("clean release build, cpu", "plain", 1.05, ratio(builds, "plain")),
    ]
    print("\n| measure | against | at most | measured | |\n| --- | --- | --- | --- | --- |")
    for measure, against, most, value in targets:
        verdict = "not measured" if value is None else "pass" if value <= most else "FAIL"
        print(f"| {measure} | {against} | {show(most)} | {show(value)} | {verdict} |")
    print(f"\ndecode of 100 pages: items() {items - text:.0f} ms, items_as {typed - text:.0f} ms, over {text:.0f} ms to read them")


class Sample:
    """One run of a process: seconds, what it printed, and what it asked of the server."""

    def __init__(self, wall, cpu, out, connections, requests):
        self.wall, self.cpu, self.out, self.connections, self.requests = wall, cpu, out, connections, requests


def run(command, base, project=100):
    # The server's counts go by http, whatever the contender speaks.
    before = stats(base)
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        env={**ENV, "POSTHOG_HOST": base, "POSTHOG_PROJECT_ID": str(project)},
        stdout=subprocess.PIPE,
        text=True,
        close_fds=False,  # lets Python spawn without a fork of itself
    )
    out = process.stdout.read().strip()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}")
    connections, requests = (now - then for now, then in zip(stats(base), before))
    return Sample(wall, usage.ru_utime + usage.ru_stime, out, connections - 1, requests - 1)


def in_turn(commands, base, rounds, project=100):
    samples = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            samples[name].append(run(command, base, project))
    said = {(s.out, s.requests) for all_of in samples.values() for s in all_of}
    if len(said) != 1:
        sys.exit(f"the contenders do not agree: {said}")
    return samples


class Urls:
    def __init__(self, line, ca):
        (self.http, self.slow, self.https), self.ca = line.split(), ca


STATS = {}  # base URL: where its server counts


def stats(base):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{STATS[base]}/stats") as response:
        return [int(n) for n in response.read().split()]


@contextmanager
def server():
    with tempfile.TemporaryDirectory() as folder:
        ca = os.path.join(folder, "ca.pem")
        # It stops when its standard input does, so it cannot outlive this.
        process = subprocess.Popen(
            [BIN / "server", ca, str(PAUSE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        urls = Urls(process.stdout.readline(), ca)
        STATS.update(dict.fromkeys((urls.http, urls.slow, urls.https), urls.http))
        try:
            yield urls
        finally:
            process.stdin.close()
            process.wait()


@contextmanager
def one_core():
    """Everything started within shares one core with this process."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def peak_memory(command, base, rounds, project=100):
    """Bytes, by GNU time: a process's peak starts with that of the one that started it, and Python's own is too large for that."""
    if not os.path.exists("/usr/bin/time"):
        sys.exit("GNU time is missing: install the package `time`")
    with tempfile.NamedTemporaryFile("r") as report:
        timed = ["/usr/bin/time", "-f", "%M", "-o", report.name, *command, "persons"]
        peaks = []
        for _ in range(rounds):
            run(timed, base, project)
            report.seek(0)
            peaks.append(int(report.read()) * 1024)
    return statistics.median(peaks)


def instructions(command, base):
    """Of the process in user mode, by callgrind; None where there is no valgrind."""
    if not shutil.which("valgrind"):
        note("  skipped: no valgrind")
        return None
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command],
        env={**ENV, "POSTHOG_HOST": base, "POSTHOG_PROJECT_ID": "100"},
        check=True,
        capture_output=True,
        text=True,
    )
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


def clean_builds(packages, rounds):
    """Seconds of cpu of a release build from nothing but downloaded sources."""
    seconds = {name: [] for name in packages}
    for _ in range(rounds):
        for name, package in packages.items():
            note(f"a clean build of {name}")
            with tempfile.TemporaryDirectory() as folder:
                process = cargo_start("build", "-q", "--release", "--locked", "--bin", f"{package}-one", "-p", package, target=folder)
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                if process.returncode:
                    sys.exit(f"{package} does not build")
                seconds[name].append(usage.ru_utime + usage.ru_stime)
    return {name: statistics.median(all_of) for name, all_of in seconds.items()} if rounds else {}


def tree(package):
    """The crates that a package needs besides itself; of the library where none is named."""
    where = ["-p", package] if package else ["--manifest-path", str(HERE.parent.parent / "Cargo.toml")]
    listing = subprocess.run(
        ["cargo", "tree", "--locked", "-e", "normal", "--prefix", "none", "-f", "{p}", *where],
        cwd=HERE, check=True, capture_output=True, text=True,
    ).stdout.splitlines()
    return {line.removesuffix(" (*)") for line in listing[1:] if line} - {listing[0]}


def cargo(*args):
    process = cargo_start(*args, target=TARGET)
    if process.wait():
        sys.exit(f"cargo {' '.join(args)} failed")


def cargo_start(*args, target):
    return subprocess.Popen(["cargo", *args], cwd=HERE, env={**os.environ, "CARGO_TARGET_DIR": str(target)})


def python_with_requests():
    """This Python if it has requests, else one of our own that is given them."""
    if not subprocess.run([sys.executable, "-c", "import requests"], capture_output=True).returncode:
        return sys.executable
    venv = TARGET / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin" / "pip", "install", "-q", "requests"], check=True)
    return str(venv / "bin" / "python")


def scale(by_name, factor):
    return {name: value * factor for name, value in by_name.items() if value is not None}


def show(value):
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def note(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
