// An event begins: its id, its page, its identifiers, at the moment of the call.

import { events, find, uuid } from './events.js';
import { isOpen } from './gate.js';
import { identify } from './identity.js';
import { arm } from './leg.js';
import { bury } from './script.js';
import { asTexts, hashUserData } from './user_data.js';

const MAX_URL_CHARACTERS = 4096; // the relay refuses longer addresses

let viewed = false;

/**
 * Meta's script sends one PageView per pixel and page, and drops the others; a server event for those would count alone.
 * @param {string} name
 * @param {string[] | undefined} pixelIds
 */
const isDropped = (name, pixelIds) => {
  if (name !== 'PageView' || pixelIds || window.fbq?.allowDuplicatePageViews) return false;
  const again = viewed;
  viewed = true;
  return again;
};

/**
 * @param {string} name
 * @param {unknown} data
 * @param {import('./types.js').Options} options
 * @returns {string | undefined} the event's id; undefined where it is known already, or will not be sent
 */
export const begin = (name, data, { eventID, userData, pixelIds }) => {
  const id = String(eventID || uuid());
  if (find(id, name, pixelIds?.[0]) || isDropped(name, pixelIds)) return;
  /** @type {import('./types.js').Tracked} */
  const tracked = {
    at: performance.now(),
    wall: Date.now(),
    requests: 0,
    event: {
      event_name: name,
      event_id: id,
      url: location.href.slice(0, MAX_URL_CHARACTERS),
      referrer: document.referrer.slice(0, MAX_URL_CHARACTERS) || undefined,
      ...(isOpen() && identify()),
      // As it is now: the page may go on using its object.
      custom_data: JSON.parse(JSON.stringify(data || {})),
      user_data: userData && asTexts(userData),
      pixel_ids: pixelIds,
      pixel: { state: 'undispatched', evidence: 'unload', transport: 'none' },
    },
  };
  events.push(tracked);
  arm(tracked);
  bury();
  const { event } = tracked;
  if (event.user_data) hashUserData(event.user_data).then((hashed) => (event.user_data = hashed));
  return id;
};
