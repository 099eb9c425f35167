// The way in: `window.counterfoil`, and the moments of the page's life at which something is due.

import { events, find, uuid } from './events.js';
import { adopt, awaitFbq, calls, fire, resume } from './fbq.js';
import { gate, terms } from './gate.js';
import { fail, isLoaded } from './leg.js';
import { kept } from './outbox.js';
import { leave } from './post.js';
import { onFormData, violations, watchRequests } from './requests.js';
import { data, guard, part, site } from './site.js';
import { begin } from './track.js';

const RESTORE_MS = 3000; // the page's own start comes first

/**
 * @param {string} command
 * @param {string} [word]
 */
const load = (command, word) => {
  part(command, (module) => module.default({ calls, data, events, find, gate, resume, terms }, word));
};

/** @type {import('./types.js').Counterfoil} */
const counterfoil = (command, name, values, options = {}) => {
  if (command === 'consent') load(command, name);
  if (command !== 'track') return;
  const eventID = String(options.eventID || uuid());
  // One id, one event: a repeated call does not fire the Pixel again.
  if (begin(name, values, { ...options, eventID })) fire(name, values, eventID, options.pixelIds);
  return eventID;
};

const whenLoaded = () => {
  adopt();
  resume();
  if (!isLoaded()) part('judge', ({ inspect }) => inspect(fail));
};

/** @type {Record<string, (event: any) => unknown>} */
const MOMENTS = {
  load: whenLoaded,
  error: ({ target }) => /\/fbevents\.js/.test(target.src) && fail(),
  formdata: onFormData,
  pagehide: leave,
  prerenderingchange: resume,
  securitypolicyviolation: (violation) => violations.push(violation),
  visibilitychange: () => (document.hidden ? leave() : resume()),
};

const start = guard(() => {
  const early = window.counterfoil?.q || [];
  const api = Object.assign(guard(counterfoil), { live: true });
  window.counterfoil = api;
  watchRequests();
  awaitFbq();
  if (gate.closed) load('consent');
  if (/counterfoil_debug=1/.test(location.search)) data.debug = '';
  for (const name of ['debug', 'ga4', 'history', 'radar', 'warm']) if (name in data) load(name);
  if (data.ipv6 || data.ipv4) load('address');
  for (const call of early) api(.../** @type {[string, string]} */ (/** @type {unknown} */ (call)));
  if (document.readyState === 'complete') whenLoaded();
  // By capture: some of these do not bubble.
  for (const [name, act] of Object.entries(MOMENTS)) addEventListener(name, guard(act), true);
  setTimeout(() => kept()?.[0] && load('restore'), RESTORE_MS);
});

if (site && !window.counterfoil?.live) start();
