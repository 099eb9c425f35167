// The browser leg of one event: dispatched → sent, blocked or pending; never dispatched → blocked or undispatched.
// At any moment the leg holds what would have to be told if the page ended now.

import { age, events } from './events.js';
import { isOpen } from './gate.js';
import { handOver } from './post.js';

/** @typedef {import('./types.js').Tracked} Tracked */
/** @typedef {import('./types.js').State} State */

const LOAD_MS = 6000; // Meta's script has this long to take an event off its queue and send it

/** Meta's script could not be loaded. */
let failed = false;

export const isLoaded = () => window.fbq?.callMethod;

/**
 * How much a state knows, by its initial: undispatched, pending, off, blocked, late, sent. The relay ranks alike.
 * @param {string} state
 */
const rank = (state) => 'upobls'.indexOf(state[0]);

/**
 * Something came to be known; the best of several requests counts, and the last of them settles the leg.
 * @param {Tracked} tracked
 * @param {State} state
 * @param {string} evidence
 * @param {number} [requests] still under way, where they are to be waited for
 */
export const report = (tracked, state, evidence, requests) => {
  const leg = tracked.event.pixel;
  if (rank(state) >= rank(leg.state)) {
    // The relay was told that nothing would come, and then it came.
    leg.state = state === 'sent' && /^[bu]/.test(tracked.told || '') ? 'late' : state;
    leg.evidence = evidence;
    if (rank(state) > 2) leg.settled_ms = age(tracked);
  }
  if (requests) return;
  tracked.ready = true;
  handOver(tracked);
};

/**
 * Start the time in which Meta's script has to send the event; behind a closed gate it says nothing.
 * @param {Tracked} tracked
 */
export const arm = (tracked) => {
  /** Unless it has left by then. @param {State} state @param {string} evidence */
  const end = (state, evidence) => report(tracked, state, evidence, tracked.requests);
  // Another copy of the script may have come since.
  if (failed && !isLoaded()) end('blocked', 'script-error');
  else setTimeout(() => isOpen() && end('undispatched', isLoaded() ? 'locked' : 'noscript'), LOAD_MS);
};

/** The browser could not load Meta's script: no event of the page goes out. */
export const fail = () => {
  failed = true;
  events.forEach(arm);
};
