"""The measures: each takes peers that run, or makes them run, and returns figures by row."""

import statistics
import threading
import time

from scratch import DidNotRun, connections_to, is_alive, processor_ticks, wait_for

from peers.base import script

# Rows of the tables, in their order; `README` marks those that the README repeats.
ROWS = {
    "start": "start to first HTTP answer, ms",
    "idle": "idle memory of the manager, MB",
    "acknowledged": "message acknowledged, ms",
    "first": "first text at the client, ms",
    "end": "end of turn, ms",
    "overhead": "overhead over the agent alone: first text, end, ms",
    "session_manager": "memory for one more session, manager, MB",
    "session_all": "memory for one more session, agent included, MB",
    "flood": "2,000 deltas: received as deltas",
    "flood_seconds": "2,000 deltas: seconds to the end of the turn",
    "flood_bytes": "2,000 deltas: KB sent to the client",
    "kill_agent": "`kill -9` in mid-turn: the agent",
    "kill_live": "`kill -9` in mid-turn: the rest of the answer, live",
    "kill_stored": "`kill -9` in mid-turn: the answer in the history",
    "kill_prompt": "`kill -9` with an open prompt",
}
README = ["idle", "first", "end", "session_all", "kill_agent", "kill_stored", "kill_prompt"]

TURN = {"n": 20, "delay_ms": 5}
WARM = {"n": 5}
FLOOD = {"n": 2000}
LONG = {"n": 200, "delay_ms": 40}
# Seconds of the long answer that have passed at the kill, and that the manager is away.
BEFORE_KILL, AWAY = 3.0, 0.5
# Seconds that a connection to the model lasts in the middle of an answer, and not for a title.
LASTING = 0.5
# Seconds after the kill at which the agent is looked for; its answer takes longer.
UNTIL_LOOK = 3.0
# Seconds in which an answer must be complete after a kill: it takes 8 by itself.
AFTER_KILL = 20.0
# Seconds after that in which it must be in the history.
STORED = 10.0
# Seconds after which memory is read at the earliest, and at the latest: as soon as the processes do little.
SETTLE, SETTLE_MAX = 5.0, 30.0
# Hundredths of a second of processor time in a second that are little.
QUIET_TICKS = 5
# Sessions at the end of the measure of memory; the first is not counted.
SESSIONS = 5


def ms(seconds):
    """Prints milliseconds, with a decimal where they are few."""
    value = seconds * 1000
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def mb(value):
    """Prints MB, with decimals where they are few."""
    return f"{value:.2f}" if abs(value) < 1 else f"{value:.1f}" if abs(value) < 10 else f"{value:,.0f}"


def words(step):
    """Returns the text that the fake model makes of a step."""
    return "".join(f"w{number} " for number in range(step["n"]))


def say(session, step):
    """Sends a message and waits for the end of its turn; returns seconds to the acknowledgement, first text and end."""
    start, begin = len(session.events.seen), time.perf_counter()
    acknowledged = session.send(script(step)) and time.perf_counter() - begin
    first, end = session.events.end_of_turn(start)
    return acknowledged, first - begin, end - begin


def starts(peers, rounds, note):
    """Starts and ends each peer in turn, `rounds` times."""
    taken = {peer: [] for peer in peers if peer.is_manager}
    # The first start makes a home, and is not counted.
    for number in range(rounds + 1):
        for peer, times in list(taken.items()):
            with note.guard(peer):
                elapsed = peer.start()
                if number:
                    times.append(elapsed / 1000)
            peer.stop()
            if note.failed(peer):
                del taken[peer]
    for peer, times in taken.items():
        note(peer, "start", ms(statistics.median(times)))


def settle(peer):
    """Waits until the processes of a peer do little, so that what they do at their start is over."""
    time.sleep(SETTLE)
    end = time.monotonic() + SETTLE_MAX - SETTLE
    while time.monotonic() < end:
        before = peer.processes()
        ticks = processor_ticks(before)
        time.sleep(1)
        if set(peer.processes()) == set(before) and processor_ticks(before) - ticks <= QUIET_TICKS:
            return


def idle(peer, note):
    """Reads the memory of a manager that has just started and has no session."""
    if peer.is_manager:
        settle(peer)
        manager, all_of_it = peer.memory()
        rest = all_of_it - manager
        note(peer, "idle", mb(manager) + (f", and {mb(rest)} of the agent" if rest > 1 else ""))


def turns(sessions, rounds, note):
    """Has each peer answer in turn, `rounds` times; returns the medians of first text and end."""
    taken = {peer: [] for peer in sessions}
    for number in range(rounds + 2):
        for peer, session in list(sessions.items()):
            with note.guard(peer, "end"):
                figures = say(session, TURN)
                if number >= 2:
                    taken[peer].append(figures)
                continue
            sessions.pop(peer)
            taken.pop(peer)
    medians = {}
    for peer, figures in taken.items():
        acknowledged, first, end = zip(*figures)
        medians[peer] = statistics.median(first), statistics.median(end)
        if peer.is_manager:
            note(peer, "acknowledged", ms(statistics.median(acknowledged)) if all(acknowledged) else "never")
        note(peer, "first", ms(medians[peer][0]))
        note(peer, "end", ms(medians[peer][1]))
    return medians


def overhead(peer, floor, medians, note):
    """Notes how much later than from the agent alone a client gets text and the end."""
    if peer.is_manager and peer in medians and floor in medians:
        first, end = (own - alone for own, alone in zip(medians[peer], medians[floor]))
        note(peer, "overhead", f"{first * 1000:+.1f}, {end * 1000:+.1f}")


def more_sessions(peer, note):
    """Reads the memory with one session and with `SESSIONS`, each after a turn."""
    say(peer.open(), WARM)
    settle(peer)
    before = peer.memory()
    for _ in range(SESSIONS - 1):
        say(peer.open(), WARM)
    settle(peer)
    manager, all_of_it = ((after - one) / (SESSIONS - 1) for one, after in zip(before, peer.memory()))
    if peer.is_manager:
        note(peer, "session_manager", mb(manager))
    note(peer, "session_all", mb(all_of_it))


def flood(sessions, rounds, note):
    """Has each peer pass on 2,000 deltas that come without a pause, in turn."""
    taken = {peer: [] for peer in sessions}
    for _ in range(rounds):
        for peer, session in sessions.items():
            with note.guard(peer, "flood"):
                start, size = len(session.events.seen), session.events.bytes
                _, _, end = say(session, FLOOD)
                events = session.events.seen[start:]
                taken[peer].append((end, session.events.bytes - size, events))
    for peer, figures in taken.items():
        if figures:
            note(peer, "flood", received([events for _, _, events in figures]))
            note(peer, "flood_seconds", f"{statistics.median(end for end, _, _ in figures):.2f}")
            note(peer, "flood_bytes", f"{statistics.median(size for _, size, _ in figures) / 1000:,.0f}")


def received(rounds):
    """Says how many deltas came, and whether their text or the whole message was complete."""
    counts, complete = set(), True
    for events in rounds:
        pieces = [text for _, kind, text in events if kind == "delta" and text]
        whole = "".join(text for _, kind, text in events if kind == "text")
        counts.add(len(pieces))
        complete &= words(FLOOD).strip() in ("".join(pieces).strip(), whole.strip())
    counts = f"{min(counts):,}" if len(counts) == 1 else f"{min(counts):,} to {max(counts):,}"
    counts = "none, one message" if counts == "0" else counts
    return counts if complete else f"{counts}; text incomplete"


def kill_in_turn(peer, note):
    """Kills the manager in the middle of an answer, starts it again, and looks for the agent and the rest."""
    session = peer.open()
    say(session, WARM)
    # What is not found afterwards is lost, and not merely looked for in the wrong place.
    wait_for("its history", lambda: words(WARM).strip() in session.history(), 10, pause=0.5)
    start = len(session.events.seen)
    session.send(script(LONG))
    wait_for("the answer's begin", lambda: is_answering(peer.model))
    time.sleep(BEFORE_KILL - LASTING)
    before, lives = peer.agents(), []
    peer.kill()
    killed = len(session.events.seen)
    # An agent that ends with its manager notices the end of its input, which may take a moment.
    look = threading.Timer(UNTIL_LOOK, lambda: lives.extend(filter(is_alive, before)))
    look.start()
    time.sleep(AWAY)
    peer.start()
    peer.ready()
    try:
        session.reconnect()
        session.events.wait("the rest", lambda seen: any(event[1] == "end" for event in seen[killed:]), AFTER_KILL)
    except DidNotRun:
        pass
    look.join()
    stored = stored_answer(session)
    live = live_rest(session.events.seen[start:killed], session.events.seen[killed:])
    note(peer, "kill_agent", "lives on" if lives else "dies")
    note(peer, "kill_live", live)
    note(peer, "kill_stored", stored)


def is_answering(model):
    """Returns true if the fake model is in the middle of an answer: it has a connection that lasts."""
    before = connections_to(model)
    time.sleep(LASTING)
    return bool(before & connections_to(model))


def stored_answer(session):
    """Says what the history has of the long answer, once it is complete or `STORED` seconds have passed."""
    text, found = words(LONG).strip(), None
    end = time.monotonic() + STORED
    while found is None or (text not in found and time.monotonic() < end):
        try:
            found = session.history()
        except (OSError, KeyError, ValueError):
            found = ""
        time.sleep(0.5)
    if words(WARM).strip() not in found:
        raise DidNotRun("the history has not even the answer before")
    if text in found:
        return "complete, once" if found.count(text) == 1 else f"complete, {found.count(text)} times"
    # The turn before it has left w0 to w4.
    return "a part of it" if f"w{WARM['n'] + 1} " in found else "nothing of it"


def live_rest(before, after):
    """Says how a client that has connected again got the rest of the long answer."""
    seen = set("".join(text for _, kind, text in before if kind == "delta").split())
    pieces = "".join(text for _, kind, text in after if kind == "delta").split()
    whole = "".join(text for _, kind, text in after if kind == "text")
    wanted = set(words(LONG).split())
    if words(LONG).strip() in whole:
        how = "complete message"
    elif wanted <= seen | set(pieces):
        how = "complete"
    elif pieces or whole:
        how = "a part"
    else:
        return "nothing"
    missing, again = len(wanted - seen - set(pieces)), len(seen & set(pieces))
    if pieces and missing:
        how += f"; {missing} of 200 not as deltas"
    elif pieces and again:
        how += f"; {again} deltas again"
    return how


def kill_at_prompt(peer, note):
    """Kills the manager while a prompt is open, starts it again, and answers the prompt."""
    session = peer.open()
    say(session, WARM)
    made = peer.project / "asked.txt"
    made.unlink(missing_ok=True)
    # Every agent takes the words of the others as well, or ignores them.
    command = {"command": f"echo done > {made.name}", "description": "writes a file", "is_background": False}
    if peer.shell_tool != "run_shell_command":
        del command["is_background"]
    session.send(script({"tool": peer.shell_tool, "input": command}, {"text": "Written."}))
    wait_for("a prompt", session.prompts, 60)
    peer.kill()
    time.sleep(AWAY)
    peer.start()
    peer.ready()
    try:
        session.reconnect()
        prompts = wait_for("the prompt", session.prompts, 10)
    except (DidNotRun, OSError):
        note(peer, "kill_prompt", "gone")
        return
    try:
        session.allow(prompts[0])
        wait_for("the tool", made.exists, 20)
        note(peer, "kill_prompt", "listed, answered, tool ran")
    except (DidNotRun, OSError):
        note(peer, "kill_prompt", "listed, but the tool never ran")
