// One WebSocket for the page: it connects again by itself, with back-off, and answers commands by their `ref`.

const BACKOFF_FIRST_MS = 250;
const BACKOFF_MAX_MS = 15_000;
const PING_EVERY_MS = 25_000;
// A connection that says nothing for this long, pings included, is taken for dead.
const SILENCE_MAX_MS = 60_000;
const REPLY_MS = 20_000;
// A connection that does not answer a ping within this time, after the network has changed, is taken for dead.
const PROBE_MS = 4_000;
// A connection that is not made within this time is given up.
const CONNECT_MAX_MS = 20_000;

export class Socket {
  /** `on` has `open()`, `frame(frame)` and `lost(retryAt)`. */
  constructor(url, on) {
    this.url = url;
    this.on = on;
    this.refs = 0;
    this.waiting = new Map();
    this.tries = 0;
    this.ws = null;
    this.timer = 0;
    this.probe = 0;
    this.closed = false;
    for (const type of ["online", "offline", "pageshow"]) window.addEventListener(type, () => this.look());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.look());
    setInterval(() => this.beat(), PING_EVERY_MS);
  }

  get isOpen() {
    return this.ws?.readyState === WebSocket.OPEN;
  }

  connect() {
    clearTimeout(this.timer);
    this.closed = false;
    const ws = new WebSocket(this.url);
    this.ws = ws;
    clearTimeout(this.probe);
    this.probe = setTimeout(() => {
      if (this.ws === ws && !this.isOpen) this.cut();
    }, CONNECT_MAX_MS);
    ws.onopen = () => {
      clearTimeout(this.probe);
      this.tries = 0;
      this.heard = Date.now();
      this.on.open();
    };
    ws.onmessage = (message) => this.receive(message.data);
    ws.onclose = () => {
      if (this.ws === ws) this.dropped();
    };
  }

  /** Closes for good, until `connect`. */
  close() {
    this.closed = true;
    clearTimeout(this.timer);
    clearTimeout(this.probe);
    const ws = this.ws;
    this.ws = null;
    ws?.close();
    this.failWaiting("not connected");
  }

  retryNow() {
    if (!this.closed && this.ws === null) {
      this.tries = 0;
      this.connect();
    }
  }

  /** Finds out whether the connection still works: a browser may notice only after minutes that it does not. */
  look() {
    if (this.closed) return;
    if (this.ws === null) this.retryNow();
    if (!this.isOpen) return;
    const asked = Date.now();
    const { ws } = this;
    ws.send('{"type":"ping"}');
    clearTimeout(this.probe);
    this.probe = setTimeout(() => {
      if (this.ws === ws && this.heard < asked) this.cut();
    }, PROBE_MS);
  }

  /** Gives up a connection that is not closed, and tries again. */
  cut() {
    const { ws } = this;
    this.dropped();
    ws.close();
  }

  dropped() {
    this.ws = null;
    clearTimeout(this.probe);
    this.failWaiting("the connection was lost");
    if (this.closed) return;
    const wait = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.tries) * (0.75 + Math.random() / 2);
    this.tries += 1;
    this.timer = setTimeout(() => this.connect(), wait);
    this.on.lost(Date.now() + wait);
  }

  failWaiting(reason) {
    for (const { reject, timer } of this.waiting.values()) {
      clearTimeout(timer);
      reject(Object.assign(new Error(reason), { lost: true }));
    }
    this.waiting.clear();
  }

  beat() {
    if (!this.isOpen) return;
    if (Date.now() - this.heard > SILENCE_MAX_MS) this.cut();
    else this.ws.send('{"type":"ping"}');
  }

  receive(data) {
    this.heard = Date.now();
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    const waiting = frame.ref === undefined || frame.ref === null ? undefined : this.waiting.get(frame.ref);
    if (waiting && (frame.type === "ack" || frame.type === "error")) {
      this.waiting.delete(frame.ref);
      clearTimeout(waiting.timer);
      if (frame.type === "ack") waiting.resolve(frame);
      else waiting.reject(Object.assign(new Error(frame.content ?? "refused"), { frame }));
      return;
    }
    if (frame.type !== "pong") this.on.frame(frame);
  }

  /** Sends a frame that needs no answer. */
  send(frame) {
    if (this.isOpen) this.ws.send(JSON.stringify(frame));
  }

  /** Sends a command; settles with its `ack`, or fails with the server's reason. */
  command(frame) {
    if (!this.isOpen) return Promise.reject(Object.assign(new Error("not connected"), { lost: true }));
    this.refs += 1;
    const ref = this.refs;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(ref);
        reject(Object.assign(new Error("the server did not answer in time"), { lost: true }));
      }, REPLY_MS);
      this.waiting.set(ref, { resolve, reject, timer });
      this.ws.send(JSON.stringify({ ...frame, ref }));
    });
  }
}
