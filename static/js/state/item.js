// One item of a conversation: `{key, seq, kind, rev, time, depth, ...}`. Pure.

let keys = 0;

/** Makes an item. Its key never changes; `rev` grows when it must be redrawn. */
export function item(kind, event, seq, fields) {
  keys += 1;
  const parent = event.parent_tool_call_id ?? null;
  return {
    key: `i${keys}`,
    seq,
    kind,
    rev: 0,
    time: event.timestamp,
    parent,
    depth: depth(event),
    home: null,
    height: 0,
    ...fields,
  };
}

/** The depth at which an event is shown whose sub-agent has no card: 0, or 1. */
export const depth = (event) => (event.parent_tool_call_id ? 1 : 0);
