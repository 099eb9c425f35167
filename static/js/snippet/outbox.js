// What the relay has not acknowledged, kept for the next page: one localStorage key an event, so that tabs do not
// overwrite one another. Storage may be full, forbidden or missing; the events of this page live in memory anyway.
// restore.js takes up what earlier pages left, and bounds their number.

import { age } from './events.js';
import { guard } from './site.js';

/** @typedef {import('./types.js').Tracked} Tracked */

const MAX_CHARACTERS = 20000;

/** @param {Tracked} tracked */
const keyOf = ({ event }) => 'counterfoil:' + [event.event_id, event.event_name, event.pixel_ids];

/** Raw customer data does not go to the disk. The wall clock is how the next page learns the event's age. */
export const save = guard((/** @type {Tracked} */ tracked) => {
  const { event, hashed } = tracked;
  const text = JSON.stringify({ event, hashed, wall: Date.now() - age(tracked) });
  if (text.length < MAX_CHARACTERS) localStorage[keyOf(tracked)] = text;
});

export const forget = guard((/** @type {Tracked} */ tracked) => localStorage.removeItem(keyOf(tracked)));
