// `_fbp` and `_fbc`: adopted as they are; what is missing is minted by mint.js or by Meta's script.

import { read } from './cookies.js';
import { isOpen } from './gate.js';
import { part } from './site.js';

/**
 * Give an event what it lacks; a value that the browser did not keep is not claimed.
 * @param {{fbp?: string, fbc?: string}} event
 */
export const identify = (event) => {
  const { cookie } = document; // read once: it may be a round trip to another process
  event.fbp ||= read(cookie, '_fbp');
  event.fbc ||= read(cookie, '_fbc');
  if (!event.fbp || /fbclid=/.test(/** @type {any} */ (location))) part('mint', (module) => isOpen() && module.mint());
};
