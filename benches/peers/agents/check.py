"""Checks of the bench itself, without any peer: its tables, what it makes of events, and that it leaves no process."""

import contextlib
import io
import os
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import bench  # noqa: E402
import measures  # noqa: E402
import table  # noqa: E402
from peers.base import Peer  # noqa: E402
from scratch import Scratch, is_alive, processes_of  # noqa: E402

FIGURES = {
    "Agent alone": {"first": "15.2"},
    "rs-worker": {"idle": "4.8", "first": "15.8", "kill_agent": "lives on"},
    "Other 1.0": {"first": "133", "kill_agent": "did not run: it said no"},
}


class Missing(Peer):
    name, title = "missing", "Missing 1.0"

    def command(self):
        return [self.folder / "nothing"], {}


class Ending(Peer):
    name, title = "ending", "Ending 1.0"

    def command(self):
        return ["sh", "-c", "echo no such luck; exit 3"], {}


def noted(what):
    """Runs `what` without its output."""
    with contextlib.redirect_stdout(io.StringIO()):
        what()


class Tables(unittest.TestCase):
    def tables(self):
        groups = {"Agent": list(FIGURES)}
        return table.document("a machine", groups, FIGURES, {"Third": "no compiler"}, measures.ROWS)

    def test_tables_hold_each_figure_and_each_reason(self):
        text = self.tables()
        self.assertIn("| first text at the client, ms | 15.2 | 15.8 | 133 |", text)
        self.assertIn("| idle memory of the manager, MB | — | 4.8 | — |", text)
        self.assertIn("- Third did not run: no compiler", text)
        self.assertNotIn("flood", text)

    def test_readme_has_the_rows_of_the_managers(self):
        text = table.readme(f"x\n{table.BEGIN}{self.tables()}{table.END}y\n")
        lines = text.splitlines()
        self.assertEqual(lines[0], "| | rs-worker | Other 1.0 |")
        self.assertEqual(lines[2:], [
            "| idle memory of the manager, MB | 4.8 | — |",
            "| first text at the client, ms | 15.8 | 133 |",
            "| `kill -9` in mid-turn: the agent | lives on | did not run: it said no |",
        ])

    def test_document_without_marks_is_refused(self):
        with self.assertRaises(SystemExit):
            table.between(f"text {table.BEGIN} more")


class Answers(unittest.TestCase):
    def pieces(self, first, last, kind="delta"):
        return [(0.0, kind, f"w{number} ") for number in range(first, last)]

    def whole(self):
        return [(0.0, "text", measures.words(measures.LONG))]

    def test_rest_of_an_answer_is_told_apart(self):
        before = self.pieces(0, 75)
        self.assertEqual(measures.live_rest(before, []), "nothing")
        self.assertEqual(measures.live_rest(before, self.pieces(75, 200)), "complete")
        self.assertEqual(measures.live_rest(before, self.pieces(0, 200)), "complete; 75 deltas again")
        self.assertEqual(measures.live_rest(before, self.pieces(80, 200)), "a part; 5 of 200 not as deltas")
        self.assertEqual(measures.live_rest([], self.whole()), "complete message")
        after = self.pieces(80, 200) + self.whole()
        self.assertEqual(measures.live_rest(before, after), "complete message; 5 of 200 not as deltas")

    def test_missing_delta_of_a_flood_is_noticed(self):
        events = [(0.0, "delta", f"w{number} ") for number in range(measures.FLOOD["n"])]
        self.assertEqual(measures.received([events]), "2,000")
        self.assertEqual(measures.received([events, events[1:]]), "1,999 to 2,000; text incomplete")
        self.assertEqual(measures.received([[(0.0, "text", measures.words(measures.FLOOD))]]), "none, one message")


class Processes(unittest.TestCase):
    def test_what_was_started_ends_with_the_run_though_it_left_its_parent(self):
        with Scratch("/nowhere", "/nowhere/node") as scratch:
            folder = scratch.make("one")
            command = ["sh", "-c", "setsid sleep 1000 & exit 0"]
            scratch.spawn(command, folder, scratch.environment(folder)).wait()
            end = time.monotonic() + 10
            while not (left := processes_of(folder)) and time.monotonic() < end:
                time.sleep(0.01)
            self.assertEqual(len(left), 1)
        self.assertFalse(is_alive(left[0]))
        self.assertFalse(scratch.folder.exists())

    def test_run_that_is_ended_ends_what_it_started(self):
        here = Path(__file__).resolve().parent
        text = (
            f"import signal, sys; sys.path.insert(0, {str(here)!r}); from scratch import Scratch\n"
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))\n"
            "with Scratch('/nowhere', '/nowhere/node') as scratch:\n"
            "    folder = scratch.make('one')\n"
            "    child = scratch.spawn(['sleep', '1000'], folder, scratch.environment(folder))\n"
            "    print(child.pid, flush=True); signal.pause()\n"
        )
        run = subprocess.Popen([sys.executable, "-B", "-c", text], stdout=subprocess.PIPE, text=True)
        child = int(run.stdout.readline())
        self.assertTrue(is_alive(child))
        run.terminate()
        self.assertEqual(run.wait(), 130)
        self.assertFalse(is_alive(child))
        run.stdout.close()

    def test_peer_that_cannot_run_has_a_reason_and_no_figure(self):
        for kind, reason in [(Missing, "is not installed"), (Ending, "no such luck")]:
            notes = bench.Notes()
            with Scratch("/nowhere", "/nowhere/node") as scratch:
                peer = kind(scratch, "http://127.0.0.1:9")
                notes.figures[peer.title] = {}
                noted(lambda: measures.starts([peer], 1, notes))
            self.assertIn(reason, notes.reasons[peer.title])
            self.assertEqual(notes.figures[peer.title], {})

    def test_environment_names_no_home_of_the_user(self):
        with Scratch("/nowhere", "/nowhere/node") as scratch:
            env = scratch.environment(scratch.make("one"))
            self.assertTrue(env["HOME"].startswith(str(scratch.folder)))
            self.assertNotIn(os.environ.get("HOME", "/root"), {env["HOME"], env["TMPDIR"]})


if __name__ == "__main__":
    unittest.main()
