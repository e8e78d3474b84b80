#!/usr/bin/env python3
"""Measures this crate against what people use instead: `python3 benches/peers/run.py --builds 3`.

All traffic stays on loopback. The contenders run in turn (A B A B ...), must print the same and send the same number of
requests. Every figure is a median, and every ratio is one of medians of this run.
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
SLOW = 50  # ms before each page of the slow server
WORK = 3  # ms of work of a caller that works
AHEAD = 8  # pages ahead where the server is slow
# What a contender finds in its environment: no proxy, and no real key.
ENV = {"PATH": os.environ["PATH"], "POSTHOG_PERSONAL_API_KEY": "phx_loopback"}
MB = 1e6

# A package each, and the binaries in it.
PACKAGES = {"ours": "ours", "plain": "plain", "reqwest": "with-reqwest"}


def main():
    parts = {
        "values": values,
        "gets": gets,
        "pages": pages,
        "prefetch": prefetch,
        "events": events,
        "memory": memory,
        "instructions": instructions,
        "size": size,
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11, help="rounds of the long jobs; single values get ten times as many")
    parser.add_argument("--builds", type=int, default=0, metavar="N", help="also N clean builds of each, a minute each")
    parser.add_argument("--only", nargs="+", choices=parts, metavar="PART", help="only these parts: " + ", ".join(parts))
    options = parser.parse_args()

    for package in ["server", "decode", *PACKAGES.values()]:
        # One after the other: in a build of several, each would get the features of all.
        cargo("build", "-q", "--release", "--locked", "-p", package)
    for name, part in parts.items():
        if not options.only or name in options.only:
            note(name)
            part(options.rounds)
    if options.builds:
        note("builds")
        builds(options.builds)
    report()


# The parts. Each notes medians of the contenders, and targets.


def values(rounds):
    """One value per process. Client and server share one core: see README.md."""
    one = {name: [BIN / f"{package}-one"] for name, package in PACKAGES.items()}
    with one_core(), server() as urls:
        single = in_turn({**one, "python": [*python(), "one"]}, urls.http, rounds * 10)
        tls = in_turn(jobs("tls", urls.ca), urls.https, rounds * 10)
    cpu, tls_cpu, wall = medians(single, "cpu"), medians(tls, "cpu"), medians(single, "wall")
    figure("one value, wall ms", scale(wall, 1e3))
    figure("one value, cpu ms", scale(cpu, 1e3))
    figure("one value over TLS, cpu ms", scale(tls_cpu, 1e3))
    target("whole one-value process, cpu", "reqwest", 0.35, cpu)
    target("whole one-value process over TLS, cpu", "reqwest", 0.12, tls_cpu)
    target("whole one-value process, wall", "python", 0.02, wall)


def gets(rounds):
    """2,000 GETs of a small answer, by address and by name."""
    with one_core(), server() as urls:
        by_address = in_turn(jobs("gets", "2000"), urls.http, rounds)
        by_name = in_turn(jobs("gets", "2000"), urls.named, rounds)
    with server() as urls:
        free = in_turn(jobs("gets", "2000"), urls.http, rounds)
    wall, named = medians(by_address, "wall"), medians(by_name, "wall")
    figure("2,000 GETs, wall s", wall)
    figure("2,000 GETs, wall s, on both cores", medians(free, "wall"))
    figure("2,000 GETs, cpu s", medians(by_address, "cpu"))
    figure("2,000 GETs by host name, wall s", named)
    figure("2,000 GETs, connections", {name: samples[0].connections for name, samples in by_address.items()})
    target("wall, 2,000 GETs", "reqwest", 0.85, wall)
    target("wall, 2,000 GETs by host name", "plain", 1.10, named)


def pages(rounds):
    """All persons from a fast server; and what of that is the decode."""
    with server() as urls:
        all_pages = in_turn(jobs("persons"), urls.http, rounds)
        by_name = in_turn(jobs("persons"), urls.named, rounds)
        decode = [[float(ms) for ms in run([BIN / "decode"], urls.http).out.split()] for _ in range(rounds)]
    wall = medians(all_pages, "wall")
    text, items, typed = map(statistics.median, zip(*decode))
    figure("100 pages, wall s", wall)
    figure("100 pages, cpu s", medians(all_pages, "cpu"))
    figure("100 pages by host name, wall s", medians(by_name, "wall"))
    target("wall, 100 pages", "reqwest", 0.80, wall)
    target("wall, 100 pages", "python", 0.40, wall)
    target("items_as into a small struct, wall of the decode", "items()", 0.40, (typed - text) / (items - text))
    note(f"decode of 100 pages: items() {items - text:.0f} ms, items_as {typed - text:.0f} ms; to read them: {text:.0f} ms")


def prefetch(rounds):
    """Pages in flight, by host name: from a slow server and a fast one, for a caller that only counts and one that works."""
    ours, plain = BIN / "ours", BIN / "plain"
    steps = subprocess.run([ours, "steps", str(WORK)], check=True, capture_output=True, text=True).stdout.strip()
    ahead = lambda *numbers: {n: [ours, "persons", str(n)] for n in numbers}
    working = lambda *numbers: {n: [*command, steps] for n, command in ahead(*numbers).items()}
    with server() as urls:
        slow = in_turn({**ahead(AHEAD, 0), "plain": [plain, "persons"]}, urls.slow, rounds)
        slow_work = in_turn(working(4, 0), urls.slow, rounds)
        fast_work = in_turn(working(2, 0), urls.named, rounds)
        fast = in_turn(ahead(AHEAD, 2, 0), urls.named, rounds)
    for where, samples in [
        (f"server {SLOW} ms a page", slow),
        (f"server {SLOW} ms a page, caller works {WORK} ms a page", slow_work),
        (f"fast server, caller works {WORK} ms a page", fast_work),
        ("fast server", fast),
    ]:
        for key in ("wall", "cpu"):
            each = ", ".join(f"{name}: {show(value)}" for name, value in medians(samples, key).items())
            note(f"  100 pages, {where}, {key} s, by prefetch: {each}")
    wall, none = medians(slow, "wall"), "prefetch(0)"
    target(f"wall, prefetch({AHEAD}), server {SLOW} ms a page", none, 0.18, wall, AHEAD, 0)
    target(f"wall, prefetch({AHEAD}), server {SLOW} ms a page", "plain", 0.18, wall, AHEAD)
    target(f"wall, prefetch(4), server {SLOW} ms, caller works {WORK} ms a page", none, 0.30, medians(slow_work, "wall"), 4, 0)
    target(f"wall, prefetch(2), fast server, caller works {WORK} ms a page", none, 1.00, medians(fast_work, "wall"), 2, 0)
    target(f"cpu, prefetch({AHEAD}), server {SLOW} ms a page", none, 1.15, medians(slow, "cpu"), AHEAD, 0)
    target(f"cpu, prefetch({AHEAD}), fast server", none, 1.15, medians(fast, "cpu"), AHEAD, 0)


def events(_rounds):
    """An export from a model of a server that is as slow as PostHog: one round, as it takes two minutes."""
    ours = lambda after, *args: [BIN / "ours", "events", after, *args]
    start, early = "2026-01-01", "2022-01-01"
    samples = {}
    for name, data, command in [
        ("plain", "even", [BIN / "plain", "events", start]),
        (0, "even", ours(start, "0")),
        (1, "even", ours(start, "1")),
        (2, "even", ours(start, "2")),
        ("text", "even", ours(start, "1", "text")),
        ("early", "early", ours(early, "1")),
        ("burst", "burst", ours(start, "1")),
    ]:
        with events_server(data) as base:
            sample = run(command, base)
            _, queries, looked_at, throttled = stats(base)
        sample.queries, sample.looked_at, sample.throttled = queries, looked_at / int(sample.out), throttled
        samples[name] = sample
        note(f"  {name}: {sample.wall:.2f} s, {queries} queries, {sample.looked_at:.2f} events looked at for each, {throttled} times 429")
    if len({samples[name].out for name in ("plain", 0, 1, 2, "text")}) != 1:
        sys.exit("the contenders export different numbers of events")
    wall = {name: sample.wall for name, sample in samples.items()}
    target("events, prefetch(2), wall", "plain", 0.13, wall, 2)
    target("events, prefetch(1), wall", "plain", 0.20, wall, 1)
    target("events looked at, prefetch(2)", "events returned", 1.3, samples[2].looked_at)
    target("queries, prefetch(2)", "", 18, samples[2].queries)
    target("events looked at, a start four years early", "events returned", 6.1, samples["early"].looked_at)
    target("events looked at, a burst of 1,000,000", "events returned", 4.0, samples["burst"].looked_at)
    target("429 met, prefetch(2)", "", 0, samples[2].throttled)
    target("cpu, properties as values", "as text", 1.5, samples[1].cpu / samples["text"].cpu)


def memory(rounds):
    """The peak of all persons."""
    persons = jobs("persons")
    ahead = [BIN / "ours", "persons", str(AHEAD)]
    with server() as urls:
        few = peak_memory(persons["ours"], urls.http, rounds, project=5)
        peak = {name: peak_memory(command, urls.http, rounds) for name, command in persons.items()}
        fast, slow = (peak_memory(ahead, base, rounds) for base in (urls.http, urls.slow))
        body = page_bytes(urls.http)
    figure("100 pages, peak memory MB", scale(peak, 1 / MB))
    target("peak memory, 100 pages, items()", "5 pages", 1.10, peak["ours"] / few)
    for where, more in (("fast server", fast), (f"server {SLOW} ms a page", slow)):
        target(f"page bodies more in memory, prefetch({AHEAD}), {where}", "prefetch(0)", 10, (more - peak["ours"]) / body)


def instructions(_rounds):
    """In user mode, by callgrind. They do not depend on what else runs."""
    if not shutil.which("valgrind"):
        return note("  skipped: no valgrind")
    counted = lambda *args: {name: [BIN / package, *args] for name, package in PACKAGES.items()}
    with server() as urls:
        of_pages = {name: callgrind(command, urls.http) for name, command in counted("persons").items()}
        of_gets = {name: callgrind(command, urls.http) for name, command in counted("gets", "2000").items()}
    figure("100 pages, 10⁶ instructions", scale(of_pages, 1e-6))
    figure("2,000 GETs, 10⁶ instructions", scale(of_gets, 1e-6))
    target("instructions, 100 pages", "plain", 1.00, of_pages)
    target("instructions, 2,000 GETs", "plain", 1.00, of_gets)


def size(_rounds):
    """Binaries and trees."""
    binaries = {name: (BIN / f"{package}-one").stat().st_size for name, package in PACKAGES.items()}
    figure("one-value binary, stripped, MB", scale(binaries, 1 / MB))
    figure("crates that it needs", {name: len(tree(package)) for name, package in PACKAGES.items()})
    target("stripped one-value binary", "plain", 1.05, binaries)
    target("crates in the tree", "", 32, len(tree(None)))


def builds(rounds):
    """Seconds of cpu of a release build, from downloaded sources and an empty target folder."""
    seconds = {name: [] for name in PACKAGES}
    for _ in range(rounds):
        for name, package in PACKAGES.items():
            note(f"  a clean build of {name}")
            with tempfile.TemporaryDirectory() as folder:
                process = cargo_start("build", "-q", "--release", "--locked", "--bin", f"{package}-one", "-p", package, target=folder)
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                if process.returncode:
                    sys.exit(f"{package} does not build")
                seconds[name].append(usage.ru_utime + usage.ru_stime)
    figure("clean release build, cpu s", {name: statistics.median(each) for name, each in seconds.items()})


# Runs of processes.


class Sample:
    """One run of a process: its seconds, what it printed, and what it requested."""

    def __init__(self, wall, cpu, out, connections, requests):
        self.wall, self.cpu, self.out, self.connections, self.requests = wall, cpu, out, connections, requests


def jobs(*args):
    """A job of all contenders."""
    return {**{name: [BIN / package, *args] for name, package in PACKAGES.items()}, "python": [*python(), *args]}


def run(command, base, project=100):
    before = stats(base)
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        env={**ENV, "POSTHOG_HOST": base, "POSTHOG_PROJECT_ID": str(project)},
        stdout=subprocess.PIPE,
        text=True,
        close_fds=False,  # Python can then start a process without a copy of itself
    )
    out = process.stdout.read().strip()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}")
    connections, requests = [now - then for now, then in zip(stats(base), before)][:2]
    return Sample(wall, usage.ru_utime + usage.ru_stime, out, connections - 1, requests - 1)


def in_turn(commands, base, rounds):
    samples = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            samples[name].append(run(command, base))
    printed = {sample.out for each in samples.values() for sample in each}
    if len(printed) != 1:
        sys.exit(f"the contenders print different results: {printed}")
    least = min(sample.requests for each in samples.values() for sample in each)
    for name, each in samples.items():
        # The pages ahead lie behind the last page when it arrives: they are requested in vain.
        vain = name if isinstance(name, int) else 0
        if any(sample.requests > least + vain for sample in each):
            sys.exit(f"{name} sends more requests than the others: {[sample.requests for sample in each]}")
    return samples


class Urls:
    def __init__(self, line, ca):
        (self.http, self.named, self.slow, self.https), self.ca = line.split(), ca


STATS = {}  # base URL: where its server counts


def get(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url) as response:
        return response.read()


def stats(base):
    return [int(n) for n in get(f"{STATS[base]}/stats").split()]


def page_bytes(base):
    return len(get(f"{base}/api/projects/100/persons/?limit=1000"))


@contextmanager
def server():
    with tempfile.TemporaryDirectory() as folder:
        ca = os.path.join(folder, "ca.pem")
        # It stops when its standard input ends, so it stops with this process.
        process = subprocess.Popen([BIN / "server", ca, str(SLOW)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        urls = Urls(process.stdout.readline(), ca)
        STATS.update(dict.fromkeys((urls.http, urls.named, urls.slow, urls.https), urls.http))
        try:
            yield urls
        finally:
            process.stdin.close()
            process.wait()


@contextmanager
def events_server(data):
    process = subprocess.Popen([BIN / "events-server", data], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    base = process.stdout.readline().strip()
    STATS[base] = base
    try:
        yield base
    finally:
        process.stdin.close()
        process.wait()


@contextmanager
def one_core():
    """Every process that is started within shares one core with this process."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def peak_memory(command, base, rounds, project=100):
    """Bytes, by GNU time. The kernel's peak of a process includes that of the process that started it, and Python's own
    is too large for that."""
    if not os.path.exists("/usr/bin/time"):
        sys.exit("GNU time is missing: install the package `time`")
    with tempfile.NamedTemporaryFile("r") as measured:
        timed = ["/usr/bin/time", "-f", "%M", "-o", measured.name, *command]
        peaks = []
        for _ in range(rounds):
            run(timed, base, project)
            measured.seek(0)
            peaks.append(int(measured.read()) * 1024)
    return statistics.median(peaks)


def callgrind(command, base):
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command],
        env={**ENV, "POSTHOG_HOST": base, "POSTHOG_PROJECT_ID": "100"},
        check=True,
        capture_output=True,
        text=True,
    )
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


def tree(package):
    """The crates that a package needs besides itself; without a name, those of the library."""
    where = ["-p", package] if package else ["--manifest-path", str(HERE.parent.parent / "Cargo.toml"), "-p", "posthog-api"]
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


def python():
    """peer.py, with this Python if it has requests, otherwise with one of its own."""
    if not subprocess.run([sys.executable, "-c", "import requests"], capture_output=True).returncode:
        return [sys.executable, str(HERE / "peer.py")]
    venv = TARGET / "venv"
    if not venv.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin" / "pip", "install", "-q", "requests"], check=True)
    return [str(venv / "bin" / "python"), str(HERE / "peer.py")]


# Figures and targets.

FIGURES, TARGETS = [], []


def figure(measure, by_name):
    FIGURES.append((measure, by_name))


def target(measure, against, most, value, ours="ours", other=None):
    """`value`: a ratio, or what it is one of, by contender."""
    if isinstance(value, dict):
        value = value[ours] / value[against if other is None else other]
    TARGETS.append((measure, against, most, value))


def report():
    if FIGURES:
        print("\n| median | ours | plain | reqwest | python |\n| --- | --- | --- | --- | --- |")
    for measure, by_name in FIGURES:
        print(f"| {measure} | " + " | ".join(show(by_name.get(name)) for name in [*PACKAGES, "python"]) + " |")
    print("\n| measure | against | at most | measured | |\n| --- | --- | --- | --- | --- |")
    for measure, against, most, value in TARGETS:
        print(f"| {measure} | {against} | {show(most)} | {show(value)} | {'pass' if value <= most else 'FAIL'} |")


def medians(samples, key):
    return {name: statistics.median(getattr(sample, key) for sample in each) for name, each in samples.items()}


def scale(by_name, factor):
    return {name: value * factor for name, value in by_name.items()}


def show(value):
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def note(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
