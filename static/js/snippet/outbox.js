// Events that the relay has not acknowledged, kept for the next page: one localStorage key each, so that tabs do not
// overwrite one another. Storage may be full, forbidden or missing; the events of this page live in memory anyway.

import { events, find } from './events.js';
import { guard } from './site.js';
import { onlyHashed } from './user_data.js';

/** @typedef {import('./types.js').Tracked} Tracked */

const PREFIX = 'counterfoil:';
const MAX_AGE_MS = 864e5; // a day
const MAX_EVENTS = 50;
const MAX_CHARACTERS = 20000;

const keys = () => Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));

/** @param {Tracked} tracked */
const keyOf = ({ event }) => PREFIX + [event.event_id, event.event_name, event.pixel_ids];

export const save = guard((/** @type {Tracked} */ { event, wall, ...rest }) => {
  const key = keyOf({ event, wall, ...rest });
  const text = JSON.stringify({ wall, event: { ...event, user_data: onlyHashed(event.user_data) } });
  if (text.length < MAX_CHARACTERS && (keys().length < MAX_EVENTS || localStorage.getItem(key)))
    localStorage.setItem(key, text);
});

export const forget = guard((/** @type {Tracked} */ tracked) => localStorage.removeItem(keyOf(tracked)));

/** Take up what earlier pages left, each with its first id and time. */
export const restore = guard(() => {
  keys().forEach((key) => {
    const { wall, event } = guard(JSON.parse)(localStorage.getItem(key) || '') || {};
    const age = Date.now() - wall;
    // Also for what is not ours to read: a comparison with NaN is false.
    if (!(age < MAX_AGE_MS)) localStorage.removeItem(key);
    else if (!find(event.event_id, event.event_name, event.pixel_ids?.[0]))
      events.push({ event, wall, at: performance.now() - Math.max(0, age), requests: 0, ready: true });
  });
});
