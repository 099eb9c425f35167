// An event begins: its id, its page, its identifiers, at the moment of the call.

import { events, find, uuid } from './events.js';
import { identify } from './identity.js';
import { terms } from './gate.js';
import { arm } from './leg.js';
import { part } from './site.js';

const MAX_URL_CHARACTERS = 4000; // the relay refuses addresses of more than 4,096

/** Customer data that the page gave to `fbq('init')`: the Pixel adds it to every event. @type {Record<string, unknown>} */
export const known = {};

let viewed = 0;

/**
 * @param {string} name
 * @param {unknown} data
 * @param {unknown} [eventID]
 * @param {string[]} [pixelIds]
 * @param {Record<string, unknown>} [userData]
 * @param {string} [signature]
 * @returns {string | undefined} the event's id; undefined where it is known already, or will not be sent
 */
export const begin = (name, data, eventID, pixelIds, userData, signature) => {
  const event_id = String(eventID || uuid());
  if (find(event_id, name, pixelIds?.[0])) return;
  // Meta's script sends one PageView per pixel and page and drops the others; a server event would count alone.
  if (name === 'PageView' && !pixelIds && !window.fbq?.allowDuplicatePageViews && viewed++) return;
  const raw = { ...known, ...userData };
  /** @type {import('./types.js').Tracked} */
  const tracked = {
    at: performance.now(),
    requests: 0,
    raw,
    // As it is now: the page may go on using its object. And without what is not known yet: an empty address_nonce would
    // hide the one that comes later.
    event: JSON.parse(
      JSON.stringify({
        ...terms,
        event_name: name,
        event_id,
        url: location.href.slice(0, MAX_URL_CHARACTERS),
        referrer: document.referrer,
        custom_data: data || {},
        pixel_ids: pixelIds,
        signature,
        pixel: { state: 'undispatched', evidence: 'unload' },
      }),
    ),
  };
  identify(tracked.event);
  // Until they are hashed, or where that cannot be, they go raw.
  if (Object.keys(raw)[0]) part('user_data', async (module) => (tracked.hashed = await module.hash(raw)));
  events.push(tracked);
  arm(tracked);
  return event_id;
};
