// To the relay: fetch while the page lives, sendBeacon when it may be ending, and the outbox for what comes back.

import { age, events, signature } from './events.js';
import { isOpen } from './gate.js';
import { identify, isSameSite } from './identity.js';
import { forget, save } from './outbox.js';
import { endpoint, guard, log, site } from './site.js';
import { onlyHashed } from './user_data.js';

/** @typedef {import('./types.js').Tracked} Tracked */

const MAX_EVENTS = 20;
const MAX_BYTES = 30000; // a fetch under way and a beacon share the page's 64 KiB
const RETRY_MS = 3000;
const MAX_RETRY_MS = 60000;

// Raw customer data may cross an encrypted line, or none at all.
const isPrivate = /^https:|^http:\/\/(localhost|127\.)/.test(endpoint.href);

let busy = false;
let failures = 0;

/** @param {Tracked} tracked */
const wire = (tracked) => ({
  ...tracked.event,
  user_data: isPrivate ? tracked.event.user_data : onlyHashed(tracked.event.user_data),
  age_ms: age(tracked),
});

/**
 * As many as fit into one post; at least one, whatever its size: the relay says if it is too large.
 * @param {Tracked[]} waiting
 */
const pack = (waiting) => {
  const batch = waiting.slice(0, MAX_EVENTS);
  const compose = () => JSON.stringify({ site, events: batch.map(wire) });
  let body = compose();
  while (batch.length > 1 && new Blob([body]).size > MAX_BYTES) {
    batch.pop();
    body = compose();
  }
  return { batch, body };
};

/** @param {string} body @returns {Promise<number | true>} true, or after how many milliseconds to come back */
const send = async (body) => {
  let pause = 0;
  try {
    const response = await fetch(endpoint, {
      method: 'POST',
      body,
      keepalive: new Blob([body]).size < 2 * MAX_BYTES,
      credentials: isSameSite(endpoint.hostname, location.hostname, document.cookie) ? 'include' : 'omit',
    });
    log('relay', response.status);
    // Other 4xx will not get better by repetition.
    if (response.status < 500 && response.status !== 429) return true;
    pause = Number(response.headers.get('retry-after')) * 1000;
  } catch (error) {
    log(error);
  }
  return pause || Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** failures++) * (0.5 + Math.random());
};

/** Post what is ready; one post at a time, and none while the relay wants to be left alone. */
export const flush = async () => {
  const waiting = events.filter((tracked) => tracked.ready && tracked.acknowledged !== signature(tracked));
  if (busy || !waiting.length || !isOpen()) return;
  busy = true;
  const { batch, body } = pack(waiting);
  const told = batch.map((tracked) => (tracked.told = signature(tracked)));
  const answer = await send(body);
  if (answer === true) {
    failures = 0;
    batch.forEach((tracked, index) => {
      tracked.acknowledged = told[index];
      if (signature(tracked) === told[index]) forget(tracked);
    });
  }
  const next = () => {
    busy = false;
    flush();
  };
  if (answer === true) next();
  else setTimeout(next, answer);
};

/** @param {Tracked} tracked whose leg has just been settled, or whose deadline has passed */
export const handOver = (tracked) => {
  if (!isOpen()) return;
  // Where consent came after the event, or Meta's script has set the cookies that we could not.
  const { fbp, fbc } = identify();
  tracked.event.fbp ??= fbp;
  tracked.event.fbc ??= fbc;
  save(tracked);
  flush();
};

/** The page may be ending: tell what is known, keep it for the next page. */
export const leave = guard(() => {
  if (!isOpen()) return;
  events.filter((tracked) => tracked.acknowledged !== signature(tracked)).forEach(save);
  let untold = events.filter((tracked) => tracked.told !== signature(tracked));
  while (untold.length) {
    const { batch, body } = pack(untold);
    if (!navigator.sendBeacon(endpoint, body)) return;
    batch.forEach((tracked) => (tracked.told = signature(tracked)));
    untold = untold.slice(batch.length);
  }
});
