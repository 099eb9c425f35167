// The way in: `window.counterfoil`, and the moments of the page's life at which something is due.

import { uuid, events } from './events.js';
import { adopt, awaitFbq, fire } from './fbq.js';
import { isOpen, onOpen } from './gate.js';
import { identify } from './identity.js';
import { arm } from './leg.js';
import { restore } from './outbox.js';
import { flush, handOver, leave } from './post.js';
import { watchRequests } from './requests.js';
import { inspect } from './script.js';
import { guard, log, site } from './site.js';
import { begin } from './track.js';

const RESTORE_MS = 3000; // the page's own start comes first

/** @type {import('./types.js').Counterfoil} */
const counterfoil = (command, name, data, options = {}) => {
  if (command !== 'track' || !name) return void log('unknown call', command);
  const id = String(options.eventID || uuid());
  // One id, one event: a repeated call does not fire the Pixel again.
  if (begin(name, data, { ...options, eventID: id })) fire(name, data, id, options.pixelIds);
  return id;
};

const whenOpen = () => {
  identify();
  events.forEach((tracked) => (tracked.ready ? handOver(tracked) : arm(tracked)));
};

const whenLoaded = () => {
  adopt();
  inspect();
  if (isOpen()) identify();
};

const start = () => {
  const { q } = window.counterfoil || {};
  window.counterfoil = guard(counterfoil);
  window.counterfoil.live = true;
  watchRequests();
  awaitFbq();
  q?.forEach((call) => window.counterfoil?.apply(null, call));
  onOpen(whenOpen);
  inspect();
  if (document.readyState === 'complete') whenLoaded();
  else addEventListener('load', guard(whenLoaded));
  addEventListener('pagehide', leave);
  document.addEventListener('visibilitychange', () => (document.visibilityState === 'hidden' ? leave() : flush()));
  setTimeout(() => {
    restore();
    flush();
  }, RESTORE_MS);
};

if (site && !window.counterfoil?.live) guard(start)();
