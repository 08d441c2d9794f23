// Which items of a long list must be in the page, from their measured or guessed heights. Pure.

// Guessed heights in pixels, until an item has been measured.
const GUESS = {
  user: 64,
  assistant: 140,
  thinking: 40,
  tool: 44,
  group: 36,
  task: 36,
  failure: 60,
  prompt: 60,
  turn: 36,
  plan: 120,
  notice: 40,
  stderr: 40,
  exit: 60,
};

export class Extent {
  constructor() {
    this.tops = new Float64Array(1);
    this.count = 0;
  }

  /** Sums up the items' heights. */
  measure(items) {
    if (this.tops.length <= items.length) this.tops = new Float64Array(Math.max(256, items.length * 2));
    let top = 0;
    for (let at = 0; at < items.length; at += 1) {
      this.tops[at] = top;
      top += items[at].height || GUESS[items[at].kind] || 60;
    }
    this.count = items.length;
    this.tops[items.length] = top;
  }

  get total() {
    return this.tops[this.count];
  }

  top(at) {
    return this.tops[at];
  }

  /** Index of the item that covers `y`, within the list. */
  at(y) {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (this.tops[mid + 1] <= y) low = mid + 1;
      else high = mid;
    }
    return Math.min(low, Math.max(0, this.count - 1));
  }

  /** The items `[from, to)` that a view of `height` at `top` needs, with `margin` more on both sides. */
  range(top, height, margin) {
    if (this.count === 0) return [0, 0];
    return [this.at(Math.max(0, top - margin)), Math.min(this.count, this.at(top + height + margin) + 1)];
  }
}
