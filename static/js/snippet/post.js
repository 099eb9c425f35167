// To the relay: fetch while the page lives, sendBeacon when it may be ending, and the outbox for what comes back.

import { age, events, signature } from './events.js';
import { isOpen } from './gate.js';
import { identify, isSameSite } from './identity.js';
import { forget, save } from './outbox.js';
import { endpoint, log, site } from './site.js';

/** @typedef {import('./types.js').Tracked} Tracked */

const MAX_EVENTS = 20;
const MAX_CHARACTERS = 20000; // at three bytes each still below the 64 KiB that a page may have under way
const RETRY_MS = 3000;
const MAX_RETRY_MS = 60000;

// Raw customer data may cross an encrypted line, or none at all.
const isPrivate = /^https|^http:..(localhost|127\.)/.test(endpoint.href);

let busy = false;
let failures = 0;

/** @param {Tracked} tracked */
const wire = (tracked) => ({
  ...tracked.event,
  user_data: { ...(isPrivate && tracked.raw), ...tracked.hashed },
  age_ms: age(tracked),
});

/**
 * As many as fit into one post; at least one, whatever its size: the relay says if it is too large.
 * @param {Tracked[]} batch
 * @returns {{batch: Tracked[], body: string, told: string[]}}
 */
const pack = (batch) => {
  const body = JSON.stringify({ site, events: batch.map(wire) });
  return batch[MAX_EVENTS] || (batch[1] && body.length > MAX_CHARACTERS)
    ? pack(batch.slice(0, batch.length / 2))
    : { batch, body, told: batch.map((tracked) => (tracked.told = signature(tracked))) };
};

/** Post what is ready; one post at a time, and none while the relay wants to be left alone. */
export const flush = () => {
  const waiting = events.filter((tracked) => tracked.ready && tracked.acknowledged !== signature(tracked));
  if (busy || !waiting[0] || !isOpen()) return;
  busy = true;
  const { batch, body, told } = pack(waiting);
  const again = () => {
    busy = false;
    flush();
  };
  fetch(endpoint, {
    method: 'POST',
    body,
    keepalive: body.length < MAX_CHARACTERS,
    credentials: isSameSite(endpoint.hostname) ? 'include' : 'omit',
  })
    .then(({ status }) => {
      log('relay', status);
      // Other 4xx will not get better by repetition.
      if (status > 499 || status === 429) throw status;
      failures = 0;
      batch.forEach((tracked, index) => {
        tracked.acknowledged = told[index];
        if (signature(tracked) === told[index]) forget(tracked);
      });
      again();
    })
    .catch(() => setTimeout(again, Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** failures++) * (0.5 + Math.random())));
};

/** @param {Tracked} tracked whose leg has been settled, or whose deadline has passed */
export const handOver = (tracked) => {
  if (!isOpen()) return;
  // Consent may have come after the event, or Meta's script may have set the cookies that we could not.
  tracked.event = { ...identify(), ...tracked.event };
  save(tracked);
  flush();
};

/** The page may be ending: tell what is known, and keep it for the next page. */
export const leave = () => {
  if (!isOpen()) return;
  events.filter((tracked) => tracked.acknowledged !== signature(tracked)).forEach(save);
  let untold = events.filter((tracked) => tracked.told !== signature(tracked));
  while (untold[0]) {
    const { batch, body } = pack(untold);
    navigator.sendBeacon(endpoint, body);
    untold = untold.slice(batch.length);
  }
};
