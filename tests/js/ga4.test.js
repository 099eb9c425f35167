import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import start, { map, mapUser, read } from '../../static/js/snippet/ga4.js';

const SHIRT = { item_id: 'SKU-1', item_name: 'Shirt', item_category: 'Tops', price: 10.5, quantity: 2, discount: 0.5 };
const HAT = { item_id: 'SKU-2', price: '5', quantity: '1' };

/** @type {[string, string][]} */
const NAMES = [
  ['page_view', 'PageView'],
  ['view_item', 'ViewContent'],
  ['search', 'Search'],
  ['add_to_wishlist', 'AddToWishlist'],
  ['add_to_cart', 'AddToCart'],
  ['begin_checkout', 'InitiateCheckout'],
  ['add_payment_info', 'AddPaymentInfo'],
  ['purchase', 'Purchase'],
  ['generate_lead', 'Lead'],
  ['sign_up', 'CompleteRegistration'],
  ['contact', 'Contact'],
  ['customize_product', 'CustomizeProduct'],
  ['donate', 'Donate'],
  ['find_location', 'FindLocation'],
  ['schedule', 'Schedule'],
  ['start_trial', 'StartTrial'],
  ['submit_application', 'SubmitApplication'],
  ['subscribe', 'Subscribe'],
];

for (const [event, name] of NAMES)
  test(`${event} is Meta's ${name}`, () => {
    assert.equal(map(event, { value: 1, currency: 'EUR' })?.name, name);
  });

for (const event of ['select_item', 'remove_from_cart', 'view_cart', 'add_shipping_info', 'refund', 'login', 'share', 'gtm.js', 'scroll'])
  test(`${event} is no event of Meta's, not even a custom one`, () => {
    assert.equal(map(event, {}), undefined);
    assert.equal(map(event, {}, { custom: true }), undefined);
  });

test('another name goes as a custom event only where the tag asks for it, and only where Meta takes it', () => {
  assert.equal(map('quiz_done', {}), undefined);
  assert.equal(map('quiz_done', {}, { custom: true })?.name, 'quiz_done');
  assert.equal(map('x'.repeat(51), {}, { custom: true }), undefined);
});

test('a list is nothing, a product group or a custom event, as the tag says', () => {
  assert.equal(map('view_item_list', { items: [SHIRT] }), undefined);
  assert.deepEqual(map('view_item_list', { items: [SHIRT] }, { list: 'viewcontent' })?.data.content_type, 'product_group');
  assert.equal(map('view_item_list', {}, { list: 'custom' })?.name, 'ViewCategory');
});

test('items become contents with numbers, and texts for ids', () => {
  assert.deepEqual(map('add_to_cart', { currency: 'EUR', value: '25', items: [SHIRT, HAT] })?.data, {
    content_ids: ['SKU-1', 'SKU-2'],
    content_type: 'product',
    contents: [
      { id: 'SKU-1', quantity: 2, item_price: 10.5 },
      { id: 'SKU-2', quantity: 1, item_price: 5 },
    ],
    value: 25,
    currency: 'EUR',
  });
});

test('a single item gives its name and category', () => {
  const data = map('view_item', { items: [SHIRT] })?.data;
  assert.equal(data?.content_name, 'Shirt');
  assert.equal(data?.content_category, 'Tops');
});

test('a missing value is the sum of prices and quantities less discounts, but only with a currency', () => {
  assert.equal(map('add_to_cart', { currency: 'EUR', items: [SHIRT, HAT] })?.data.value, 25);
  assert.equal(map('add_to_cart', { items: [SHIRT, HAT] })?.data.value, undefined);
  assert.equal(map('add_to_cart', { currency: 'EUR', items: [SHIRT, { item_id: 'a' }] })?.data.value, undefined);
  assert.equal(map('add_to_cart', { currency: 'EUR', value: 0, items: [SHIRT] })?.data.value, 0);
});

test('a checkout counts pieces, not lines', () => {
  assert.equal(map('begin_checkout', { items: [SHIRT, HAT] })?.data.num_items, 3);
});

test('a purchase without a value or a currency is not made up', () => {
  assert.equal(map('purchase', { value: 5, items: [SHIRT] }), undefined);
  assert.equal(map('purchase', { currency: 'EUR', items: [SHIRT] }), undefined);
  assert.equal(map('purchase', { currency: 'EUR', value: 'free', items: [SHIRT] }), undefined);
});

test('a transaction id seeds the event id, the same on every call, and is the order id', () => {
  const purchase = map('purchase', { transaction_id: 1001, value: 5, currency: 'EUR' });
  assert.equal(purchase?.options.eventID, 'Purchase.1001');
  assert.equal(purchase?.data.order_id, '1001');
  assert.equal(map('purchase', { value: 5, currency: 'EUR' })?.options.eventID, undefined);
  assert.equal(map('purchase', { transaction_id: 'x'.repeat(300), value: 5, currency: 'EUR' })?.options.eventID, undefined);
});

test('a search keeps its term; a lead its value', () => {
  assert.deepEqual(map('search', { search_term: 'hat' })?.data, { search_string: 'hat' });
  assert.deepEqual(map('generate_lead', { value: 3, currency: 'EUR' })?.data, { value: 3, currency: 'EUR' });
});

test('the id of an item may have another name, as catalogues do', () => {
  const items = [{ item_id: 'a', variant: 'b' }];
  assert.deepEqual(map('view_item', { items }, { itemId: 'variant' })?.data.content_ids, ['b']);
});

test('items without an id are left out of contents', () => {
  assert.deepEqual(map('view_item', { items: [{ item_name: 'Shirt' }] })?.data, { content_name: 'Shirt' });
});

test('user data becomes the customer keys that Meta knows', () => {
  const address = { first_name: 'Ada', last_name: 'L', city: 'London', region: 'LND', postal_code: 'N1', country: 'GB' };
  const wanted = { em: 'a@b.example', ph: '+44', fn: 'Ada', ln: 'L', ct: 'London', st: 'LND', zp: 'N1', country: 'GB' };
  assert.deepEqual(mapUser({ email_address: 'a@b.example', phone_number: '+44', address }), wanted);
  assert.deepEqual(mapUser({ sha256_email_address: 'ab', address: [{ sha256_first_name: 'cd' }] }), { em: 'ab', fn: 'cd' });
  assert.deepEqual(mapUser({}), {});
});

test('both ways of pushing are read', () => {
  assert.deepEqual(read(['event', 'search', { search_term: 'a' }]), ['search', { search_term: 'a' }]);
  assert.deepEqual(read({ event: 'search', search_term: 'a' })?.[1].search_term, 'a');
  assert.deepEqual(read({ event: 'purchase', ecommerce: { value: 1 } }), ['purchase', { value: 1 }]);
  for (const other of [undefined, null, 7, 'text', {}, ['config', 'G-1'], { event: 7 }]) assert.equal(read(other), undefined);
});

test('what was pushed before is taken, what is pushed later too, and a bad push harms nobody', () => {
  /** @type {unknown[][]} */
  const calls = [];
  /** @type {any} */
  const page = globalThis;
  page.window = page;
  page.counterfoil = (/** @type {unknown[]} */ ...args) => calls.push(args);
  page.dataLayer = [
    { user_data: { email_address: 'a@b.example' } },
    ['event', 'add_to_cart', { value: 1, currency: 'EUR' }],
    { event: 'add_to_cart', ecommerce: { items: 7 } },
  ];
  start(/** @type {any} */ ({ data: {} }));
  page.dataLayer.push({ event: 'purchase', ecommerce: { items: [null] } }, { event: 'search', search_term: 'hat' });
  assert.deepEqual(calls.map(([, name]) => name), ['AddToCart', 'AddToCart', 'Search']);
  assert.deepEqual(calls[0][3], { eventID: undefined, userData: { em: 'a@b.example' } });
  assert.equal(page.dataLayer.length, 5);
});

/** @type {{about: string, push: any, choices: {list?: string, custom?: boolean, item_id?: string}, mapped: any}[]} */
const ROWS = JSON.parse(readFileSync(new URL('data/ga4.json', import.meta.url), 'utf8'));

// The relay's mapper in Python is held to the same rows by tests/event/test_ga4.py.
for (const { about, push, choices, mapped } of ROWS)
  test(`the row "${about}" is mapped as the relay explains it`, () => {
    const [event, values] = read(push) || [''];
    const user = (push[2] || push).user_data;
    const found = map(event, values || {}, { ...choices, itemId: choices.item_id, userData: user && mapUser(user) });
    const shown = found && { name: found.name, data: found.data, event_id: found.options.eventID ?? null, user_data: found.options.userData };
    assert.deepEqual(shown ?? null, mapped);
  });
