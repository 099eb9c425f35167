// An event begins: its id, its page, its identifiers, at the moment of the call.

import { events, find, uuid } from './events.js';
import { identify } from './identity.js';
import { terms } from './gate.js';
import { arm } from './leg.js';
import { bury } from './script.js';
import { asTexts, hash } from './user_data.js';

const MAX_URL_CHARACTERS = 4096; // the relay refuses longer addresses

let viewed = false;

/**
 * @param {string} name
 * @param {unknown} data
 * @param {import('./types.js').Options} options
 * @returns {string | undefined} the event's id; undefined where it is known already, or will not be sent
 */
export const begin = (name, data, { eventID, userData = {}, pixelIds, signature }) => {
  const event_id = String(eventID || uuid());
  if (find(event_id, name, pixelIds?.[0])) return;
  // Meta's script sends one PageView per pixel and page and drops the others; a server event would count alone.
  if (name === 'PageView' && !pixelIds && !window.fbq?.allowDuplicatePageViews) {
    if (viewed) return;
    viewed = true;
  }
  /** @type {import('./types.js').Tracked} */
  const tracked = {
    at: performance.now(),
    requests: 0,
    raw: asTexts(userData),
    event: {
      ...identify(),
      ...terms,
      event_name: name,
      event_id,
      url: location.href.slice(0, MAX_URL_CHARACTERS),
      referrer: document.referrer,
      // As it is now: the page may go on using its object.
      custom_data: JSON.parse(JSON.stringify(data || {})),
      pixel_ids: pixelIds,
      signature,
      pixel: { state: 'undispatched', evidence: 'unload', transport: 'none' },
    },
  };
  hash(asTexts(userData)).then((hashed) => (tracked.hashed = hashed), () => {});
  events.push(tracked);
  arm(tracked);
  bury();
  return event_id;
};
