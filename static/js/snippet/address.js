// The visitor's other address. The Pixel goes over IPv6 where that works, while a post may have come over IPv4: then
// names of the relay that have one family only sign what they see. No event waits for it in the page.

import { uuid } from './events.js';
import { data, guard, site } from './site.js';

const TIMEOUT_MS = 1000;
const FRESH_MS = 9e5; // the relay takes a token for twice as long
const KEY = 'counterfoil:address';

/** @typedef {{address_nonce?: string, addresses?: string[]}} Words what an event says */
/** @typedef {[number, string | null | undefined, Words]} Known until when, on which network, and what */

/** What this session has learnt; a page before this one may have asked. @type {Known | undefined} */
let known = guard(() => JSON.parse(sessionStorage[KEY]))();
/** The question under way. @type {Promise<unknown> | undefined} */
let asked;

/** `wifi`, `cellular` and such, where the browser tells. @returns {string | undefined} */
const network = () => /** @type {any} */ (navigator).connection?.type;

const remember = guard((/** @type {Known | undefined} */ what) => {
  asked = undefined;
  known = what;
  sessionStorage[KEY] = JSON.stringify(what);
});
addEventListener('online', () => remember(undefined));

/** @param {string} host @param {string} nonce @returns {Promise<string | undefined>} none where there is no such address */
const ask = (host, nonce) => {
  const stop = new AbortController();
  setTimeout(() => stop.abort(), TIMEOUT_MS);
  return fetch(`${host}/v1/address?site=${site}&nonce=${nonce}`, { credentials: 'omit', signal: stop.signal })
    .then((response) => response.json())
    .then(({ token }) => token)
    .catch(() => {});
};

/** @param {string[]} hosts */
const question = async (hosts) => {
  const address_nonce = uuid();
  const before = network();
  const mine = (asked = Promise.all(hosts.map((host) => ask(host, address_nonce))));
  const addresses = /** @type {string[]} */ ((await mine).filter(Boolean));
  // Else it is about a network that is no longer ours.
  if (asked === mine) remember([Date.now() + FRESH_MS, before, { address_nonce, addresses }]);
};

/** What an event says of it: no nonce while nothing is known, no tokens where there is no other address. */
export const addresses = () =>
  // Loosely: what JSON knows no word for comes back as null.
  known && known[0] > Date.now() && known[1] == network() ? known[2] : {};

/**
 * After an answer of the relay: ask, unless that is known. Whether there is a token for an event that went without.
 * @param {'ipv4' | 'ipv6' | null} [family] the one that the relay saw; null: it could not tell
 */
export const learn = async (family) => {
  const hosts = /** @type {string[]} */ ([data.ipv6, family === null && data.ipv4].filter(Boolean));
  if (!hosts[0] || family === undefined || family === 'ipv6') return false;
  if (!addresses().address_nonce) await (asked || question(hosts));
  return !!addresses().addresses?.[0];
};
