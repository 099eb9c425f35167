// Consent that is asked for elsewhere than at the Pixel itself. Loaded only where the tag says `data-consent`, where the
// browser's Global Privacy Control means that nothing is sent, or with the first `counterfoil('consent', …)`.
//
// Until somebody has granted, the Pixel is revoked and the relay's gate is closed: both halves of an event wait in
// memory. Whoever never answers has not granted.

/** @typedef {import('./types.js').Core} Core */

const POLL_MS = 100;
const EVENTS_A_POST = 20;

let denied = false;
let isFinal = false;

/** Of what was denied, the relay learns how often: no name, no identifier, no cookie. @param {Core} core @param {number} events */
const count = (core, events) => {
  if (events < 1) return;
  const body = { site: core.data.site, events: Array(Math.min(events, EVENTS_A_POST)).fill({ consent: 'denied' }) };
  const endpoint = new URL(core.data.endpoint || '/v1/events', import.meta.url);
  fetch(endpoint, { method: 'POST', body: JSON.stringify(body), keepalive: true, credentials: 'omit' }).catch(() => {});
  count(core, events - EVENTS_A_POST);
};

/** Nothing that was denied may be sent later: not by us, not from the Pixel's queue, not on the next page. @param {Core} core */
const drop = (core) => {
  core.calls.length = 0;
  const queue = window.fbq?.queue || [];
  for (let index = queue.length; index--; ) if (/^track/.test(String(queue[index][0]))) queue.splice(index, 1);
  const held = core.events.splice(0).filter(({ event: { pixel } }) => pixel.dispatched_ms == null);
  count(core, held.length);
  try {
    for (const storage of [localStorage, sessionStorage])
      for (const key of Object.keys(storage)) if (key.startsWith('counterfoil:')) storage.removeItem(key);
  } catch {} // forbidden storage holds nothing of ours
};

/** The last word counts, for what comes after it. @param {Core} core @param {string} word grant or revoke */
const decide = (core, word) => {
  if (isFinal) return;
  const before = denied;
  denied = word === 'revoke';
  if (before || denied) drop(core);
  core.gate.closed = denied;
  if (!denied) core.terms.consent = 'granted';
  window.fbq?.('consent', word);
  core.resume();
};

/** Limited Data Use for both halves, also for the events that wait in the Pixel's queue. @param {Core} core */
const limit = ({ calls }) => {
  const call = ['dataProcessingOptions', ['LDU'], 0, 0];
  (window.fbq?.queue || calls).unshift(call);
  // For the events to come, and for the core, which hears of it in passing.
  window.fbq?.(...call);
};

/** As soon as a page's script is there. @param {() => unknown} look @param {() => void} then */
const when = (look, then) => (look() ? then() : void setTimeout(when, POLL_MS, look, then));

/** @param {Core} core */
const start = async (core) => {
  const { consent, gpc } = core.data;
  addEventListener('pagehide', () => denied && drop(core));
  if (navigator.globalPrivacyControl && gpc === 'drop') {
    decide(core, 'revoke');
    isFinal = true;
  } else if (consent) {
    const source = await import(new URL(`consent/${consent}.js`, import.meta.url).href);
    source.default({
      data: core.data,
      limit: () => limit(core),
      /** @param {boolean} granted */
      say: (granted) => decide(core, granted ? 'grant' : 'revoke'),
      when,
    });
  }
};

/** @param {Core} core @param {string} [word] what the page says; none: the snippet asks us to find out */
export default (core, word) => (word ? decide(core, word) : start(core));
