// The events of this page, and those that earlier pages could not hand over.

/** @typedef {import('./types.js').Tracked} Tracked */

/** @type {Tracked[]} */
export const events = [];

/**
 * The event that a call or a Pixel request belongs to. One id may serve several pixels, each its own event.
 * @param {string | null | undefined} id
 * @param {string | null} name
 * @param {string | null} [pixel]
 */
export const find = (id, name, pixel) =>
  events.find(
    ({ event }) =>
      event.event_id === id &&
      event.event_name === name &&
      (!pixel || !event.pixel_ids || event.pixel_ids.includes(pixel)),
  );

/** Milliseconds since the event, by the monotonic clock. @param {Tracked} tracked */
export const age = (tracked) => Math.max(0, Math.round(performance.now() - tracked.at));

/** What a report says, so that the same is not said twice. @param {Tracked} tracked */
export const signature = ({ event: { pixel } }) => pixel.state + '/' + pixel.evidence;

/** RFC 4122 version 4. `randomUUID` is missing on plain HTTP. */
export const uuid = () =>
  crypto.randomUUID?.() ??
  '10000000-1000-4000-8000-100000000000'.replace(/[018]/g, (digit) =>
    (+digit ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (+digit / 4)))).toString(16),
  );
