// The effects of events on a conversation besides their items: usage, turns, queue, session.

const TURNS_MAX = 500;
const STDERR_MAX = 1_000;

/** Applies what an event means besides its place in the conversation. */
export function side(state, conv, event) {
  switch (event.type) {
    case "options":
      conv.options = event.options ?? null;
      break;
    case "session": {
      const { type, content, timestamp, seq, ...facts } = event;
      Object.assign(conv.session, facts);
      break;
    }
    case "usage":
      conv.context = {
        tokens: event.context_tokens ?? event.usage?.input_tokens,
        window: event.context_window ?? conv.context?.window,
      };
      break;
    case "turn_started":
      conv.turnStarted = event.timestamp;
      break;
    case "turn_completed":
      conv.turnStarted = null;
      pushBounded(
        conv.turns,
        { time: event.timestamp, usage: event.usage ?? {}, cost: event.cost_usd ?? 0, ms: event.duration_ms ?? 0 },
        TURNS_MAX,
      );
      break;
    case "review":
      conv.reviewed = event.seq ?? event.timestamp;
      break;
    case "stderr":
      pushBounded(conv.stderr, event.content ?? "", STDERR_MAX);
      break;
    case "message_state":
      messageState(state, conv, event);
      break;
    case "user":
      if (event.message_id) conv.queue.delete(event.message_id);
      settle(state, conv, event.client_message_id);
      break;
    default:
  }
}

function pushBounded(list, value, max) {
  list.push(value);
  if (list.length > max) list.splice(0, list.length - max);
}

function messageState(state, conv, event) {
  const { message_id: id, client_message_id: own } = event;
  const known = conv.queue.get(id);
  if (event.state === "queued")
    conv.queue.set(id, {
      attachments: event.attachments ?? 0,
      seq: event.seq,
      time: event.timestamp,
      ...known,
      id,
      text: event.text ?? known?.text ?? event.content ?? "",
    });
  else conv.queue.delete(id);
  settle(state, conv, own);
}

function settle(state, conv, own) {
  if (own) conv.outbox = conv.outbox.filter((message) => message.client_message_id !== own);
  state.rev.queue += 1;
}
