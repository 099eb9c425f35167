// The events of this page, and those that earlier pages could not hand over.

/** @typedef {import('./types.js').Tracked} Tracked */

/** @type {Tracked[]} */
export const events = [];

/**
 * The event that a call or a Pixel request belongs to. One id may serve several pixels, each its own event.
 * @param {unknown} id
 * @param {unknown} name
 * @param {string | null} [pixel]
 */
export const find = (id, name, pixel) =>
  events.find(
    ({ event }) =>
      event.event_id === id && event.event_name === name && (!pixel || (event.pixel_ids || [pixel]).includes(pixel)),
  );

/** Milliseconds since the event, by the monotonic clock. @param {Tracked} tracked */
export const age = (tracked) => (performance.now() - tracked.at) | 0;

/** What a report says, so that the same is not said twice. @param {Tracked} tracked */
export const signature = ({ event: { pixel } }) => pixel.state + '/' + pixel.evidence;

/** A UUID; browsers make none on plain HTTP, where a random number and the moment have to do. */
export const uuid = () => crypto.randomUUID?.() || Math.random() + '-' + Date.now();
