// To the relay, one event a post: fetch while the page lives, sendBeacon when it may be ending. What the relay has not
// answered stays in the outbox for the next page.

import { age, events, signature } from './events.js';
import { gate, isOpen, terms } from './gate.js';
import { identify } from './identity.js';
import { forget, save } from './outbox.js';
import { endpoint, site } from './site.js';

/** @typedef {import('./types.js').Tracked} Tracked */

const RETRY_MS = 3000;
const MAX_DOUBLINGS = 4; // 48 s

let failures = 0;

/** Characters that may still leave with keepalive: at three bytes each below the 64 KiB that a page may have under way. */
let room = 20000;

/**
 * The body of a post, which is thereby told, and kept for the next page until the relay has answered.
 * @param {Tracked} tracked
 */
const tell = (tracked) => {
  // Consent may have come after the event, or Meta's script may have set the cookies that we could not.
  identify(tracked.event);
  save(tracked);
  tracked.told = signature(tracked);
  // Raw customer data may cross an encrypted line, or none at all.
  const raw = (isSecureContext || endpoint.protocol === 'https:') && tracked.raw;
  const event = { ...terms, ...tracked.event, user_data: { ...raw, ...tracked.hashed }, age_ms: age(tracked) };
  return JSON.stringify({ site, events: [event] });
};

/** @param {Tracked} tracked */
const post = async (tracked) => {
  const body = tell(tracked);
  const { told } = tracked;
  const reserved = body.length < room ? body.length : 0;
  room -= reserved;
  try {
    const response = await fetch(endpoint, {
      method: 'POST',
      body,
      keepalive: reserved > 0,
      credentials: 'include', // as with beacons; the cookies' own SameSite rules decide
    });
    const { status } = response;
    // Read to its end: until then the browser takes the request for one under way.
    const answer = await response.text();
    // Other 4xx will not get better by repetition.
    if (status > 499 || status === 429) throw status;
    failures = 0;
    if (signature(tracked) === told) forget(tracked);
    if (await gate.heard?.(answer, body)) repeat(tracked);
  } catch {
    setTimeout(repeat, RETRY_MS * 2 ** Math.min(failures++, MAX_DOUBLINGS) * (0.5 + Math.random()), tracked);
  }
  room += reserved;
};

/** @param {Tracked} tracked */
const repeat = (tracked) => {
  tracked.told = '';
  handOver(tracked);
};

/** @param {Tracked} tracked */
const isUntold = (tracked) => isOpen() && tracked.told !== signature(tracked);

/** @param {Tracked} tracked whose leg has been settled, or whose deadline has passed */
export const handOver = (tracked) => {
  if (isUntold(tracked)) post(tracked);
};

/** The page may be ending: tell what is known. */
export const leave = () => events.filter(isUntold).forEach((tracked) => navigator.sendBeacon(endpoint, tell(tracked)));
