// What the relay has not acknowledged, kept for the next page: one localStorage key an event, so that tabs do not
// overwrite one another. Storage may be full, forbidden or missing; the events of this page live in memory anyway.

import { age, events, find } from './events.js';
import { guard } from './site.js';

/** @typedef {import('./types.js').Tracked} Tracked */

const PREFIX = 'counterfoil:';
const MAX_AGE_MS = 864e5; // a day
const MAX_EVENTS = 50;
const MAX_CHARACTERS = 20000;

const keys = () => Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));

/** @param {Tracked} tracked */
const keyOf = ({ event }) => PREFIX + [event.event_id, event.event_name, event.pixel_ids];

/** Raw customer data does not go to the disk. The wall clock is how the next page learns the event's age. */
export const save = guard((/** @type {Tracked} */ tracked) => {
  const { event, hashed } = tracked;
  const text = JSON.stringify({ event, hashed, wall: Date.now() - age(tracked) });
  if (text.length < MAX_CHARACTERS && !keys()[MAX_EVENTS]) localStorage[keyOf(tracked)] = text;
});

export const forget = guard((/** @type {Tracked} */ tracked) => localStorage.removeItem(keyOf(tracked)));

/** Take up what earlier pages left, each with its first id and time. */
export const restore = guard(() => {
  for (const key of keys()) {
    const { event, hashed, wall } = guard(JSON.parse)(localStorage[key]) || {};
    const past = Math.max(0, Date.now() - wall);
    // Also what is not readable goes: no comparison with NaN is true.
    if (!(past < MAX_AGE_MS)) localStorage.removeItem(key);
    else if (!find(event.event_id, event.event_name, event.pixel_ids?.[0]))
      events.push({ event, hashed, at: performance.now() - past, requests: 0, ready: true });
  }
});
