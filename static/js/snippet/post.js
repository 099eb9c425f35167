// To the relay, one event a post: fetch while the page lives, sendBeacon when it may be ending. What the relay has not
// answered stays in the outbox for the next page.

import { age, events, signature } from './events.js';
import { gate, isOpen, terms } from './gate.js';
import { identify } from './identity.js';
import { forget, save } from './outbox.js';
import { endpoint, site } from './site.js';

/** @typedef {import('./types.js').Tracked} Tracked */

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
const isUntold = (tracked) => isOpen() && tracked.told !== signature(tracked);

/** @param {Tracked} tracked whose leg has been settled, or whose deadline has passed */
export const handOver = async (tracked) => {
  if (!isUntold(tracked)) return;
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
    if (signature(tracked) === told) forget(tracked);
    gate.heard?.(answer, body, tracked);
  } catch {
    // Not told: the page's end says it once more, and so does retry.js, after a while.
    tracked.told = '';
    gate.failed?.();
  }
  room += reserved;
};

/** The page may be ending: tell what is known. A beacon for which there is no room tells nothing. */
export const leave = () => {
  for (const tracked of events.filter(isUntold)) navigator.sendBeacon(endpoint, tell(tracked)) || (tracked.told = '');
};
