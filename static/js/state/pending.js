// Placeholder for the fold of a conversation until its code has been loaded, which the list does not wait for. Pure.

/** The events of a conversation, kept for the fold. */
export class Pending {
  constructor() {
    this.items = [];
    this.events = [];
    this.rev = 0;
  }

  add(event, seq) {
    this.events.push([event, seq]);
    this.rev += 1;
  }

  prepend(events) {
    this.events.unshift(...events.map((event) => [event, event.seq]));
    this.rev += 1;
  }

  shown() {
    return this.items;
  }

  keepLast() {}
}

/** Makes the fold of a conversation; `timeline.js` puts its own in place when it has been loaded. */
export const timelines = {
  /** @type {() => any} */
  make: () => new Pending(),
};

/** The code of conversations has been loaded: what came before is folded now. */
export function timelinesLoaded(state) {
  for (const conv of state.conversations.values()) {
    if (!(conv.timeline instanceof Pending)) continue;
    const { events } = conv.timeline;
    conv.timeline = timelines.make();
    for (const [event, seq] of events) conv.timeline.add(event, seq);
  }
  state.rev.conversation += 1;
}
