// The way in: `window.counterfoil`, and the moments of the page's life at which something is due.

import { events, uuid } from './events.js';
import { adopt, awaitFbq, calls, fire, resume } from './fbq.js';
import { gate, terms } from './gate.js';
import { restore } from './outbox.js';
import { flush, leave } from './post.js';
import { watchRequests } from './requests.js';
import { inspect } from './script.js';
import { data, guard, log, part, site } from './site.js';
import { begin } from './track.js';

const RESTORE_MS = 3000; // the page's own start comes first

/**
 * @param {string} command
 * @param {string} [word]
 */
const load = (command, word) => {
  part(command).then((module) => module.default({ calls, data, events, gate, resume, terms }, word)).catch(log);
};

/** @type {import('./types.js').Counterfoil} */
const counterfoil = (command, name, values, options = {}) => {
  if (command !== 'track') return /** @type {undefined} */ (load(command, name));
  const eventID = String(options.eventID || uuid());
  // One id, one event: a repeated call does not fire the Pixel again.
  if (begin(name, values, { ...options, eventID })) fire(name, values, eventID, options.pixelIds);
  return eventID;
};

const whenLoaded = () => {
  adopt();
  resume();
  inspect();
};

const start = guard(() => {
  const early = window.counterfoil?.q || [];
  const api = Object.assign(guard(counterfoil), { live: true });
  window.counterfoil = api;
  watchRequests();
  awaitFbq();
  if (gate.closed) load('consent');
  if ('ga4' in data) load('ga4');
  if (data.ipv6 || data.ipv4) load('address');
  for (const call of early) api(.../** @type {[string, string]} */ (Array.from(call)));
  inspect();
  if (document.readyState === 'complete') whenLoaded();
  addEventListener('load', whenLoaded);
  addEventListener('pagehide', leave);
  document.addEventListener('visibilitychange', () => (document.hidden ? leave() : flush()));
  document.addEventListener('prerenderingchange', resume);
  setTimeout(() => {
    restore();
    flush();
  }, RESTORE_MS);
});

if (site && !window.counterfoil?.live) start();
