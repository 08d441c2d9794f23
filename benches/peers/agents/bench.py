"""Measures rs-worker beside other managers of the same agents, all against the tests' fake model, on loopback.

    make bench-peers                                         everything, into docs/measurements.md and the README
    target/venv/bin/python benches/peers/agents/bench.py     everything, printed
        --peers pipe rs-worker hapi      some of the peers
        --measures turns flood           some of: start idle turns memory flood kill prompt
        --rounds 15                      rounds of turns (a third of them for starts and floods)
        --model URL                      a fake model that runs already
        --write                          the tables into the documents

Each peer has a home, a project and a port of its own. What cannot run is reported as such, and the others continue.
"""

import argparse
import contextlib
import datetime
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import measures  # noqa: E402
import table  # noqa: E402
from peers import GROUPS  # noqa: E402
from scratch import ROOT, DidNotRun, Scratch  # noqa: E402

MEASURES = ["start", "idle", "turns", "memory", "flood", "kill", "prompt"]


class Notes:
    """The figures so far, and the reasons why a peer or one of its figures has none."""

    def __init__(self):
        self.figures, self.reasons = {}, {}

    def __call__(self, peer, key, figure):
        self.figures[peer.title][key] = figure
        print(f"  {peer.title}: {measures.ROWS[key]}: {figure}", flush=True)

    def failed(self, peer):
        return peer.title in self.reasons

    def give_up(self, title, reason):
        self.figures.setdefault(title, {})
        self.reasons[title] = " ".join(str(reason).split()).replace("|", "/")
        print(f"  {title} did not run: {reason}", flush=True)

    @contextlib.contextmanager
    def guard(self, peer, key=None):
        """Notes why a peer, or one row of it, has no figure."""
        try:
            yield
        # Anything that one peer answers or fails to answer; the others continue.
        except Exception as error:
            reason = str(error) if isinstance(error, DidNotRun) else f"{type(error).__name__}: {error}"
            if key is None:
                self.give_up(peer.title, reason)
            else:
                self(peer, key, "did not run: " + " ".join(reason.split()).replace("|", "/")[:120])


def machine():
    """Returns the machine and its load in a line."""
    cpu = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), "unknown processor")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    load = os.getloadavg()[0]
    today = datetime.datetime.now(datetime.UTC).date()
    return f"{os.cpu_count()} cores of {cpu}, {memory:.0f} GB, Linux {os.uname().release}, {today}, load {load:.2f} at the start"


def versions(clis):
    """Returns what runs besides the peers, whose versions are in the tables."""
    from peers.base import version_of
    from peers.rs_worker import program

    own = subprocess.run([program(), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    claude = version_of(Path(clis) / "node_modules/@anthropic-ai/claude-code")
    return f"{own}, Claude Code {claude}"


def make_peers(scratch, model, wanted, notes):
    """Makes the peers of each agent; the first is the agent alone."""
    groups = {}
    for agent, kinds in GROUPS.items():
        for kind in kinds:
            if wanted and kind.name not in wanted:
                continue
            try:
                groups.setdefault(agent, []).append(kind(scratch, model))
                notes.figures[groups[agent][-1].title] = {}
            except (DidNotRun, OSError) as error:
                missing = isinstance(error, FileNotFoundError)
                reason = "it is not installed (benches/peers/agents/install)" if missing else error
                notes.give_up(kind.title or kind.name, reason)
    return groups


def start_all(peers, notes, wanted):
    """Starts all peers, and reads the memory of each before it has a session."""
    for peer in peers:
        with notes.guard(peer):
            peer.start()
            if "idle" in wanted and peer.is_manager:
                peer.ready()
                measures.idle(peer, notes)
            peer.ready()
    return [peer for peer in peers if not notes.failed(peer)]


def run(groups, notes, wanted, rounds):
    """Runs the measures, those that compare times with all peers in turn."""
    peers = [peer for group in groups.values() for peer in group]
    few = max(1, rounds // 3)
    if "start" in wanted:
        print("starts", flush=True)
        measures.starts(peers, few, notes)
    alive = start_all([peer for peer in peers if not notes.failed(peer)], notes, wanted)
    if {"turns", "flood"} & set(wanted):
        print("turns", flush=True)
        sessions = {}
        for peer in alive:
            with notes.guard(peer, "end"):
                sessions[peer] = peer.open()
        if "turns" in wanted:
            medians = measures.turns(sessions, rounds, notes)
            for group in groups.values():
                for peer in group[1:]:
                    measures.overhead(peer, group[0], medians, notes)
        if "flood" in wanted:
            measures.flood(sessions, few, notes)
    one_by_one(alive, notes, wanted)


def one_by_one(peers, notes, wanted):
    """Runs the measures of memory and of kills, for which each peer starts anew and alone."""
    for peer in peers:
        peer.stop()
    steps = [("memory", "session_all", measures.more_sessions), ("kill", "kill_agent", measures.kill_in_turn),
             ("prompt", "kill_prompt", measures.kill_at_prompt)]
    for name, key, measure in steps:
        for peer in peers:
            if name in wanted and (peer.is_manager or name == "memory"):
                with notes.guard(peer, key):
                    peer.start()
                    peer.ready()
                    measure(peer, notes)
                peer.stop()


@contextlib.contextmanager
def fake_model(url):
    """Starts the tests' fake model, which ends with its stdin, unless one runs already."""
    if url:
        yield url
        return
    program = ROOT / "target/debug/examples/fake_model"
    child = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield child.stdout.readline().strip()
    finally:
        child.stdin.close()
        child.wait()


def node():
    """Returns Node.js: that of the tests where the machine's own is too old."""
    own = ROOT / "target/node/bin/node"
    return own if own.exists() else shutil.which("node") or own


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="+", metavar="NAME")
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=MEASURES)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--model", metavar="URL")
    parser.add_argument("--write", action="store_true")
    wanted = parser.parse_args()
    names = {kind.name for kinds in GROUPS.values() for kind in kinds}
    if unknown := set(wanted.peers or ()) - names:
        parser.error(f"there is no peer {', '.join(unknown)}; there are: {' '.join(sorted(names))}")
    if wanted.write and (wanted.peers or wanted.measures != MEASURES):
        parser.error("the tables in the documents are of one run of everything: give --write without --peers and --measures")
    return wanted


def main():
    wanted = arguments()
    # Ctrl-C and an end by SIGTERM or a hangup all leave through the `with` blocks below.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(130))
    if wanted.write:
        # Missing marks shall cost no run.
        table.between((ROOT / "docs/measurements.md").read_text())
        table.between((ROOT / "README.md").read_text())
    clis = os.environ.get("RS_WORKER_TEST_CLIS") or ROOT / "target/clis"
    notes, where = Notes(), f"{machine()}, with {versions(clis)}, {wanted.rounds} rounds of turns"
    with Scratch(clis, node()) as scratch, fake_model(wanted.model) as model:
        groups = make_peers(scratch, model, wanted.peers, notes)
        run(groups, notes, wanted.measures, wanted.rounds)
    titles = {agent: [peer.title for peer in peers] for agent, peers in groups.items()}
    tables = table.document(where, titles, notes.figures, notes.reasons, measures.ROWS)
    print(f"\n{tables}")
    if wanted.write:
        table.write(tables)


if __name__ == "__main__":
    main()
