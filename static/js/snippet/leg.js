// The browser leg of one event: dispatched → sent, blocked or pending; never dispatched → blocked or undispatched.
// At any moment the leg holds what would have to be told if the page ended now.

import { age, signature } from './events.js';
import { isOpen } from './gate.js';
import { handOver } from './post.js';
import { log } from './site.js';

/** @typedef {import('./types.js').Tracked} Tracked */
/** @typedef {import('./types.js').State} State */

const LOAD_MS = 6000; // Meta's script has this long to take an event off its queue
const SETTLE_MS = 2500; // and its request this long to be answered

/** Better knowledge ranks higher; the relay ranks alike. @type {Record<State, number>} */
const RANK = { undispatched: 0, pending: 1, off: 2, blocked: 3, late: 4, sent: 5 };

/**
 * @param {Tracked} tracked
 * @param {State} state
 * @param {string} evidence
 */
export const report = (tracked, state, evidence) => {
  const leg = tracked.event.pixel;
  if (RANK[state] < RANK[leg.state]) return;
  // The relay was told that nothing would come, and then it came.
  if (state === 'sent' && /^[ub]/.test(tracked.told || '')) state = 'late';
  leg.state = state;
  leg.evidence = evidence;
  if (RANK[state] > RANK.off) leg.settled_ms = age(tracked);
  tracked.ready = true;
  log(tracked.event.event_name, tracked.event.event_id, signature(tracked), leg.dispatched_ms, leg.settled_ms, 'ms');
  handOver(tracked);
};

/**
 * One request of the Pixel has left.
 * @param {Tracked} tracked
 * @param {import('./types.js').Transport} transport
 * @param {import('./types.js').Leg['seen']} [seen]
 */
export const dispatched = (tracked, transport, seen) => {
  const leg = tracked.event.pixel;
  leg.dispatched_ms ??= age(tracked);
  leg.transport = transport;
  leg.seen ??= seen;
  if (leg.state === 'undispatched') {
    leg.state = 'pending';
    leg.evidence = 'unload';
  }
  tracked.requests++;
  setTimeout(() => {
    if (tracked.requests) report(tracked, 'pending', 'settle-timeout');
  }, SETTLE_MS);
};

/**
 * One request of the Pixel has come to something; the leg is settled with the last of them, by the best of them.
 * @param {Tracked} tracked
 * @param {State} state
 * @param {string} evidence
 */
export const settled = (tracked, state, evidence) => {
  if (!tracked.outcome || RANK[state] > RANK[tracked.outcome[0]]) tracked.outcome = [state, evidence];
  if (!--tracked.requests) report(tracked, ...tracked.outcome);
};

/**
 * Start the time in which Meta's script has to send the event. Under a closed gate the Pixel waits too, so the time
 * starts again when it opens.
 * @param {Tracked} tracked
 */
export const arm = (tracked) => {
  if (tracked.armed || !isOpen()) return;
  tracked.armed = true;
  setTimeout(() => {
    tracked.armed = false;
    if (isOpen() && tracked.event.pixel.dispatched_ms == null)
      report(tracked, 'undispatched', window.fbq?.callMethod ? 'locked' : 'noscript');
  }, LOAD_MS);
};
