import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const SOURCE = readFileSync(new URL('../../templates/shopify/custom-pixel.js', import.meta.url), 'utf8').replace(
  /^const SETTINGS = .*$/m,
  `const SETTINGS = { relay: 'https://relay.shop.example', site: 'demo-shop', pixels: ['1234567890'], contentId: 'variant', tr: 'https://meta.example/tr/' };`,
);
/** @typedef {Record<string, any>} Json */
/** @type {Json[]} The shapes that Shopify documents for its standard events. */
const EVENTS = JSON.parse(readFileSync(new URL('data/shopify/events.json', import.meta.url), 'utf8'));
const named = (/** @type {string} */ name) => structuredClone(/** @type {Json} */ (EVENTS.find((event) => event.name === name)));

/** Shopify's sandbox as it is documented, and the network, which answers as told. */
const open = ({ marketing = true, sale = true, cookies = {}, answers = async (/** @type {string} */ _url) => {} } = {}) => {
  /** @type {Record<string, (event: Json) => Promise<void>>} */
  const subscribed = {};
  /** @type {Record<string, (event: Json) => void>} */
  const privacy = {};
  /** @type {Map<string, string>} */
  const jar = new Map(Object.entries(cookies));
  /** @type {{url: URL, options: Json, body: Json}[]} */
  const sent = [];
  const world = {
    analytics: { subscribe: (/** @type {string} */ name, /** @type {any} */ then) => void (subscribed[name] = then) },
    api: { customerPrivacy: { subscribe: (/** @type {string} */ name, /** @type {any} */ then) => void (privacy[name] = then) } },
    init: { customerPrivacy: { marketingAllowed: marketing, saleOfDataAllowed: sale }, data: {} },
    browser: {
      cookie: {
        get: async (/** @type {string} */ name) => jar.get(name) ?? '',
        set: async (/** @type {string} */ text) => void jar.set(...pair(text)),
      },
    },
    fetch: async (/** @type {string} */ url, /** @type {Json} */ options) => {
      sent.push({ url: new URL(url), options, body: options.body && JSON.parse(options.body) });
      return answers(url);
    },
  };
  new Function(...Object.keys(world), SOURCE)(...Object.values(world));
  const pixel = () => sent.filter(({ url }) => url.hostname === 'meta.example');
  const relay = () => sent.filter(({ url }) => url.hostname === 'relay.shop.example');
  return { subscribed, privacy, jar, sent, pixel, relay };
};

/** @param {string} text @returns {[string, string]} */
const pair = (text) => {
  const [first = ''] = text.split(';');
  return [first.slice(0, first.indexOf('=')), first.slice(first.indexOf('=') + 1)];
};

/** @param {string} name @param {Parameters<typeof open>[0]} [options] */
const publish = async (name, options) => {
  const page = open(options);
  await page.subscribed[name]?.(named(name));
  return page;
};

test('it subscribes to what has a counterpart at Meta, and to no list of products', () => {
  assert.deepEqual(
    Object.keys(open().subscribed).sort(),
    EVENTS.map(({ name }) => name)
      .filter((name) => name !== 'collection_viewed')
      .sort(),
  );
});

test('the Pixel is asked first, and the relay is told what became of it under the same id', async () => {
  const { sent, pixel, relay } = await publish('checkout_completed');
  assert.deepEqual(sent.map(({ url }) => url.hostname), ['meta.example', 'relay.shop.example']);
  const [first] = pixel();
  const [post] = relay();
  const [event] = post?.body.events;
  assert.equal(first?.url.searchParams.get('eid'), event.event_id);
  assert.equal(first?.url.searchParams.get('ev'), 'Purchase');
  assert.deepEqual([event.pixel.state, event.pixel.evidence], ['sent', 'fetch']);
  assert.ok(event.pixel.dispatched_ms <= event.pixel.settled_ms && event.pixel.settled_ms <= event.age_ms);
  assert.equal(post?.options.credentials, 'omit');
});

test('a Purchase carries order, worth, lines and what the visitor typed, the same on both halves', async () => {
  const { pixel, relay } = await publish('checkout_completed');
  const [event] = relay()[0]?.body.events;
  assert.deepEqual(event.custom_data, {
    content_type: 'product',
    content_ids: ['43218082857195'],
    contents: [{ id: '43218082857195', quantity: 2, item_price: 24.95 }],
    value: 54.8,
    currency: 'EUR',
    num_items: 2,
    order_id: '5678901234567',
  });
  assert.deepEqual(event.user_data, {
    em: 'ada@example.com',
    ph: '+4915112345678',
    fn: 'Ada',
    ln: 'Lovelace',
    ct: 'Berlin',
    st: 'BE',
    zp: '10115',
    country: 'DE',
    external_id: '7012345678901',
  });
  const query = pixel()[0]?.url.searchParams;
  for (const [key, value] of Object.entries(event.custom_data))
    assert.equal(query?.get(`cd[${key}]`), typeof value === 'object' ? JSON.stringify(value) : String(value));
  assert.doesNotMatch(String(query), /ada/i);
});

for (const [name, expected] of Object.entries({
  page_viewed: {},
  product_viewed: {
    content_type: 'product',
    content_ids: ['43218082857195'],
    contents: [{ id: '43218082857195', quantity: 1, item_price: 24.95 }],
    value: 24.95,
    currency: 'EUR',
    content_name: 'Shirt',
  },
  search_submitted: { search_string: 'blue shirt' },
  product_added_to_cart: {
    content_type: 'product',
    content_ids: ['43218082857195'],
    contents: [{ id: '43218082857195', quantity: 2, item_price: 24.95 }],
    value: 49.9,
    currency: 'EUR',
  },
  checkout_started: {
    content_type: 'product',
    content_ids: ['43218082857195'],
    contents: [{ id: '43218082857195', quantity: 2, item_price: 24.95 }],
    value: 54.8,
    currency: 'EUR',
    num_items: 2,
  },
}))
  test(`${name} has its data`, async () => {
    const { relay } = await publish(name);
    assert.deepEqual(relay()[0]?.body.events[0].custom_data, expected);
  });

test('fbp and fbc are adopted, or made and kept as the shop’s own cookies', async () => {
  const made = await publish('page_viewed');
  const [event] = made.relay()[0]?.body.events;
  assert.match(event.fbp, /^fb\.1\.\d{13}\.\d{1,10}$/);
  assert.match(event.fbc, /^fb\.1\.\d{13}\.IwAR2abc$/);
  assert.deepEqual([...made.jar], [['_fbp', event.fbp], ['_fbc', event.fbc]]);
  const cookies = { _fbp: 'fb.1.1763859600000.1', _fbc: 'fb.1.1763859600000.IwAR2abc' };
  const adopted = await publish('page_viewed', { cookies });
  const [again] = adopted.relay()[0]?.body.events;
  assert.deepEqual([again.fbp, again.fbc], Object.values(cookies));
  assert.equal(adopted.pixel()[0]?.url.searchParams.get('fbp'), cookies._fbp);
});

test('without consent to marketing nothing leaves and nothing is kept, until it is given', async () => {
  const page = await publish('page_viewed', { marketing: false });
  assert.deepEqual([page.sent, page.jar.size], [[], 0]);
  page.privacy.visitorConsentCollected?.({ customerPrivacy: { marketingAllowed: true, saleOfDataAllowed: true } });
  await page.subscribed.page_viewed?.(named('page_viewed'));
  assert.equal(page.relay().length, 1);
});

test('who does not want data sold is limited on both halves', async () => {
  const { pixel, relay } = await publish('page_viewed', { sale: false });
  assert.deepEqual(relay()[0]?.body.events[0].data_processing_options, ['LDU']);
  assert.equal(pixel()[0]?.url.searchParams.get('dpo'), 'LDU');
});

test('a blocked Pixel is told as blocked, and the server half goes alone', async () => {
  const answers = async (/** @type {string} */ url) => {
    if (url.includes('meta.example')) throw new TypeError('Failed to fetch');
  };
  const { relay } = await publish('page_viewed', { answers });
  assert.equal(relay()[0]?.body.events[0].pixel.state, 'blocked');
});

test('a slow Pixel is told as pending, and again when it has been answered', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  /** @type {(value?: any) => void} */
  let answer = () => {};
  const slow = new Promise((resolve) => void (answer = resolve));
  const page = open({ answers: (url) => (url.includes('meta.example') ? slow : Promise.resolve()) });
  const done = page.subscribed.page_viewed?.(named('page_viewed'));
  while (!page.pixel().length) await Promise.resolve();
  await Promise.resolve();
  t.mock.timers.tick(2500);
  while (!page.relay().length) await Promise.resolve();
  answer();
  await done;
  assert.deepEqual(page.relay().map(({ body }) => body.events[0].pixel.state), ['pending', 'sent']);
  assert.equal(new Set(page.relay().map(({ body }) => body.events[0].event_id)).size, 1);
});
