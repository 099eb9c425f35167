import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { openPage } from './page.js';

openPage();
/** @type {any} */
const page = globalThis;
page.sessionStorage = {};
/** @type {Record<string, () => void>} */
const listeners = {};
page.addEventListener = (/** @type {string} */ name, /** @type {() => void} */ listener) => (listeners[name] = listener);
page.navigator.connection = {
  type: 'wifi',
  addEventListener: (/** @type {string} */ name, /** @type {() => void} */ listener) => (listeners[name] = listener),
};
const { default: open } = await import('../../static/js/snippet/address.js');

let isRepeated = false;
/** @type {any} */
const core = {
  data: { site: 'shop', ipv6: 'https://v6.relay.example', ipv4: 'https://v4.relay.example' },
  events: [],
  gate: {},
  resume: () => (isRepeated = true),
  terms: { consent: 'granted' },
};
open(core);

/** What an event says of addresses. */
const addresses = () => JSON.parse(JSON.stringify({ ...core.terms, consent: undefined }));
/** Whether an event is posted again after this answer. @param {string} answer @param {unknown} [event] */
const hear = async (answer, event = addresses()) => {
  isRepeated = false;
  await core.gate.heard(answer, JSON.stringify({ events: [event] }), {});
  return isRepeated;
};
/** The relay has answered the post of an event. @param {unknown} [family] @param {unknown} [event] */
const learn = (family, event) => hear(JSON.stringify({ accepted: 1, family }), event);

/** @type {{url: string, init: any}[]} */
let asked = [];
/** @type {Record<string, () => Promise<any>>} what each host answers */
let hosts = {};

/** The question has been sent. */
const sent = () => new Promise((resolve) => setImmediate(resolve));
const token = (/** @type {string} */ text) => async () => ({ json: async () => ({ token: text }) });
const unreachable = () => Promise.reject(new TypeError('Failed to fetch'));

beforeEach(() => {
  listeners.online();
  asked = [];
  hosts = { 'v6.relay.example': token('six'), 'v4.relay.example': token('four') };
  page.fetch = (/** @type {string} */ url, /** @type {any} */ init) => {
    asked.push({ url, init });
    return hosts[new URL(url).hostname]();
  };
});

test('a post that came over IPv4 asks the IPv6 name once, without cookies', async () => {
  assert.deepEqual(addresses(), {});
  assert.equal(await learn('ipv4'), true);
  assert.equal(asked.length, 1);
  const { searchParams, pathname, host } = new URL(asked[0].url);
  assert.deepEqual([host, pathname, searchParams.get('site')], ['v6.relay.example', '/v1/address', 'shop']);
  assert.equal(asked[0].init.credentials, 'omit');
  assert.deepEqual(addresses(), { address_nonce: searchParams.get('nonce'), addresses: ['six'] });
  assert.equal(await learn('ipv4'), false, 'that post has told it');
  assert.equal(await learn('ipv4', {}), true, 'that post had left before');
  assert.equal(asked.length, 1);
});

test('a post that came over IPv6, or whose answer says nothing, asks nobody', async () => {
  assert.equal(await learn('ipv6'), false);
  assert.equal(await learn(), false);
  assert.equal(await hear('no JSON'), false);
  assert.equal(asked.length, 0);
});

test('a post of which the relay saw no address asks both names', async () => {
  assert.equal(await learn(null), true);
  assert.deepEqual(addresses().addresses, ['six', 'four']);
});

test('events of before are told again with what is known, and those to come say it at once', async () => {
  const early = { event: { event_name: 'Lead', address_nonce: undefined } };
  core.events = [early];
  core.gate = {};
  open(core);
  await learn('ipv4');
  const event = { ...core.terms, ...early.event };
  assert.deepEqual([event.event_name, event.addresses], ['Lead', ['six']]);
  assert.equal(event.address_nonce, addresses().address_nonce);
});

test('where there is no IPv6 the events say that there is nothing to wait for', async () => {
  hosts['v6.relay.example'] = unreachable;
  assert.equal(await learn('ipv4'), false);
  assert.match(String(addresses().address_nonce), /^[\w-]{16,64}$/);
  assert.deepEqual(addresses().addresses, []);
  assert.equal(await learn('ipv4'), false);
  assert.equal(asked.length, 1);
});

test('an answer that is no token is none', async () => {
  hosts['v6.relay.example'] = async () => ({ json: async () => ({ error: { reason: 'no_address' } }) });
  assert.equal(await learn('ipv4'), false);
  assert.deepEqual(addresses().addresses, []);
});

test('two posts at once share one question', async () => {
  assert.deepEqual(await Promise.all([learn('ipv4'), learn('ipv4')]), [true, true]);
  assert.equal(asked.length, 1);
});

test('a question that is not answered ends after a second', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  hosts['v6.relay.example'] = () =>
    new Promise((_, reject) => asked[0].init.signal.addEventListener('abort', () => reject(new Error('aborted'))));
  const found = learn('ipv4');
  await sent();
  mock.timers.tick(1000);
  assert.equal(await found, false);
  mock.timers.reset();
});

test('what is known is kept for the session and the next page, and asked again after a quarter of an hour', async () => {
  mock.timers.enable({ apis: ['Date'], now: 1e12 });
  await learn('ipv4');
  const [until, , words] = JSON.parse(page.sessionStorage['counterfoil:address']);
  assert.deepEqual([until - 1e12, words], [9e5, addresses()]);
  const next = { ...core, terms: {} };
  open(next);
  assert.deepEqual(next.terms, words);
  open(core);
  mock.timers.tick(9e5);
  assert.equal(await learn('ipv4'), false, 'that post had a token, though an old one');
  assert.equal(asked.length, 2);
  mock.timers.reset();
});

test('a new connection makes it unknown again', async () => {
  await learn('ipv4');
  listeners.online();
  assert.deepEqual(addresses(), {});
  await learn('ipv4');
  listeners.change();
  assert.deepEqual(addresses().addresses, ['six'], 'it was only slower for a while');
  page.navigator.connection.type = 'cellular';
  listeners.change();
  assert.deepEqual(addresses(), {});
  await learn('ipv4');
  assert.equal(asked.length, 3);
  page.navigator.connection.type = 'wifi';
});

test('an answer that comes after the connection has changed is not believed', async () => {
  /** @type {(answer: any) => void} */
  let answer = () => {};
  hosts['v6.relay.example'] = () => new Promise((resolve) => (answer = resolve));
  const found = learn('ipv4');
  await sent();
  listeners.online();
  answer({ json: async () => ({ token: 'old' }) });
  assert.equal(await found, false);
  assert.deepEqual(addresses(), {});
});

test('a page that may not keep anything still asks and tells', async () => {
  const kept = page.sessionStorage;
  Object.defineProperty(page, 'sessionStorage', { configurable: true, get: () => assert.fail('forbidden') });
  assert.equal(await learn('ipv4'), true);
  assert.deepEqual(addresses().addresses, ['six']);
  Object.defineProperty(page, 'sessionStorage', { configurable: true, writable: true, value: kept });
});
