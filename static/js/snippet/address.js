// The visitor's other address. Loaded only where the tag names hosts for it (`data-ipv6`, `data-ipv4`).
//
// The Pixel goes over IPv6 where that works, while a post may have come over IPv4: then names of the relay that have
// one family only sign what they see. No event waits for it in the page.

import { uuid } from './events.js';

/** @typedef {{address_nonce?: string, addresses?: string[]}} Words what an event says */
/** @typedef {[number, string | null | undefined, Words]} Known until when, on which network, and what */

const TIMEOUT_MS = 1000;
const FRESH_MS = 9e5; // the relay takes a token for twice as long
const KEY = 'counterfoil:address';

/** What this session has learnt. @type {Known | undefined} */
let known;
/** The question under way. @type {Promise<unknown> | undefined} */
let asked;

/** `wifi`, `cellular` and such, where the browser tells. @returns {string | undefined} */
const network = () => /** @type {any} */ (navigator).connection?.type;

/** Storage may be forbidden. @template R @param {() => R} work */
const attempt = (work) => {
  try {
    return work();
  } catch {}
};

/** No nonce while nothing is known, no tokens where there is no other address. @returns {Words} */
const words = () =>
  // Loosely: what JSON has no word for comes back as null.
  known && known[0] > Date.now() && known[1] == network() ? known[2] : {};

/** @param {string} url @returns {Promise<string | undefined>} none where there is no such address */
const ask = (url) => {
  const stop = new AbortController();
  setTimeout(() => stop.abort(), TIMEOUT_MS);
  return fetch(url, { credentials: 'omit', signal: stop.signal })
    .then((response) => response.json())
    .then(({ token }) => token)
    .catch(() => {});
};

/** @param {Pick<import('./types.js').Core, 'data' | 'events' | 'gate' | 'resume' | 'terms'>} core */
export default ({ data, events, gate, resume, terms }) => {
  /** Events of this page, and those to come, say what is known now. */
  const tell = () => {
    Object.assign(terms, { address_nonce: undefined, addresses: undefined }, words());
    for (const { event } of events) Object.assign(event, words());
  };

  /** @param {Known} [what] */
  const remember = (what) => {
    asked = undefined;
    known = what;
    attempt(() => (sessionStorage[KEY] = JSON.stringify(what)));
    tell();
  };

  /** @param {string[]} hosts */
  const question = async (hosts) => {
    const address_nonce = uuid();
    const before = network();
    const query = `/v1/address?site=${data.site}&nonce=${address_nonce}`;
    const mine = (asked = Promise.all(hosts.map((host) => ask(host + query))));
    const addresses = /** @type {string[]} */ ((await mine).filter(Boolean));
    // Else it is about a network that is no longer ours.
    if (asked === mine) remember([Date.now() + FRESH_MS, before, { address_nonce, addresses }]);
  };

  known = attempt(() => JSON.parse(sessionStorage[KEY])); // a page before this one may have asked
  tell();
  addEventListener('online', () => remember());
  /** @type {any} */ (navigator).connection?.addEventListener('change', tell);

  const { heard } = gate;
  gate.heard = async (answer, body, tracked) => {
    heard?.(answer, body, tracked);
    const { family } = attempt(() => JSON.parse(answer)) ?? {};
    const hosts = /** @type {string[]} */ ([data.ipv6, !family && data.ipv4].filter(Boolean));
    // Of an address that the relay could not tell it says null.
    if (!hosts[0] || (family !== 'ipv4' && family !== null)) return;
    if (!words().address_nonce) await (asked || question(hosts));
    if (!words().addresses?.[0] || body.includes('"address_nonce"')) return;
    tracked.told = '';
    resume();
  };
};
