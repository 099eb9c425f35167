// The way in: `window.counterfoil`, and the moments of the page's life at which something is due.

import { events, find, uuid } from './events.js';
import { awaitFbq, calls, resume, rewrite } from './fbq.js';
import { gate, terms } from './gate.js';
import { fail } from './leg.js';
import { leave } from './post.js';
import { follow, onFormData, violations, watchRequests } from './requests.js';
import { data, guard, part, site } from './site.js';
import { begin } from './track.js';

/**
 * @param {string} name
 * @param {unknown[]} words
 */
const load = (name, ...words) => {
  part(name, (module) =>
    module.default({ begin, calls, data, events, fail, find, follow, gate, resume, terms, violations }, ...words),
  );
};

/** @type {import('./types.js').Counterfoil} */
const counterfoil = (command, name, values, { pixelIds, ...options } = {}) => {
  // A part of its own: consent, segment.
  if (!/^track/.test(command)) return void load(command, name, values, { pixelIds, ...options });
  options.eventID ||= uuid();
  for (const pixel of pixelIds || ['']) {
    const words = [name, values, options];
    const call = pixel ? [command.replace('k', 'kSingle'), pixel, ...words] : [command, ...words];
    const known = rewrite(call);
    // One id, one event: a repeated call does not fire the Pixel again.
    if (known !== call) calls.push(/** @type {unknown[]} */ (known));
  }
  resume();
  return String(options.eventID);
};

/** @type {Record<string, (event: any) => unknown>} */
const MOMENTS = {
  load: () => load('after'),
  error: ({ target }) => /fbevents.js/.test(target.src) && fail(),
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
  for (const name of ['ga4', 'history']) if (name in data) load(name);
  if (data.ipv6 || data.ipv4) load('address');
  for (const call of early) api(.../** @type {[string, string]} */ (/** @type {unknown} */ (call)));
  if (document.readyState === 'complete') load('after');
  // By capture: some of these do not bubble.
  for (const name in MOMENTS) addEventListener(name, guard(MOMENTS[name]), true);
});

if (site && !window.counterfoil?.live) start();
