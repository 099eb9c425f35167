import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { runTemplate, sections } from './gtm.js';

const TEMPLATE = readFileSync(new URL('../../integrations/gtm/template.tpl', import.meta.url), 'utf8');
const RELAY = { action: 'load', relay: 'https://relay.shop.example', site: 'demo-shop', consent: 'none' };

/** A window of its own, and the tag fired in it. @param {Record<string, any>} data @param {any} [page] */
const fire = async (data, page = {}) => {
  page.self = page;
  /** @type {string[]} */
  const injected = [];
  const outcome = await runTemplate(TEMPLATE, data, page, (url, then, fail) => {
    injected.push(url);
    (/broken/.test(url) ? fail : then)();
  });
  return { ...outcome, injected, calls: (page.counterfoil?.q ?? []).map((/** @type {any} */ call) => [...call]) };
};

test('every section is there, and those that are JSON are JSON', () => {
  const parts = sections(TEMPLATE);
  for (const name of ['INFO', 'TEMPLATE_PARAMETERS', 'WEB_PERMISSIONS']) JSON.parse(parts[name]);
  assert.deepEqual(JSON.parse(parts.INFO).containerContexts, ['WEB']);
  assert.ok(parts.TERMS_OF_SERVICE && parts.TESTS && parts.NOTES);
});

test('every field that the code reads is a field of the template, and the other way round', () => {
  const parts = sections(TEMPLATE);
  const read = new Set([...parts.SANDBOXED_JS_FOR_WEB_TEMPLATE.matchAll(/\bdata\.(\w+)/g)].map(([, name]) => name));
  const fields = JSON.parse(parts.TEMPLATE_PARAMETERS).map((/** @type {{name: string}} */ field) => field.name);
  assert.deepEqual([...read].filter((name) => !name?.startsWith('gtmOn')).sort(), fields.sort());
});

test('the snippet is loaded with the site in its query', async () => {
  const { ok, injected } = await fire(RELAY);
  assert.ok(ok);
  assert.deepEqual(injected, ['https://relay.shop.example/c.js?site=demo-shop']);
});

test('consent, GA4 and a relay below a path are told', async () => {
  const { injected } = await fire({ ...RELAY, relay: 'https://shop.example/relay', consent: 'google', ga4: true });
  assert.deepEqual(injected, [
    'https://shop.example/relay/c.js?site=demo-shop&consent=google&ga4=&endpoint=https%3A%2F%2Fshop.example%2Frelay%2Fv1%2Fevents',
  ]);
  assert.match(String((await fire({ ...RELAY, consent: 'tag' })).injected), /&consent=$/);
});

test('a snippet that cannot be loaded fails the tag, with the reason', async () => {
  const { ok, logged } = await fire({ ...RELAY, relay: 'https://broken.example' });
  assert.deepEqual([ok, /could not be loaded/.test(String(logged))], [false, true]);
});

test('an event before the snippet waits in its queue', async () => {
  const { ok, calls } = await fire({
    action: 'track',
    eventName: 'Purchase',
    value: '49.90',
    currency: 'EUR',
    customData: { order_id: '1001' },
    userData: { em: 'ada@example.com' },
    signature: 'abc',
    eventId: '',
  });
  assert.ok(ok);
  assert.deepEqual(calls, [
    [
      'track',
      'Purchase',
      { order_id: '1001', value: '49.90', currency: 'EUR' },
      { signature: 'abc', userData: { em: 'ada@example.com' } },
    ],
  ]);
});

test('an event after the snippet is handed to it', async () => {
  /** @type {unknown[][]} */
  const made = [];
  const page = { counterfoil: Object.assign((/** @type {unknown[]} */ ...args) => void made.push(args), { live: true }) };
  await fire({ action: 'track', eventName: 'Lead', eventId: 'e-1' }, page);
  assert.deepEqual(made, [['track', 'Lead', {}, { eventID: 'e-1' }]]);
});

test('a Purchase without value or currency fails here and calls nothing', async () => {
  for (const rest of [{ value: 5 }, { currency: 'EUR' }, { value: '', currency: 'EUR' }]) {
    const { ok, calls } = await fire({ action: 'track', eventName: 'Purchase', ...rest });
    assert.deepEqual([ok, calls], [false, []]);
  }
});

test('a decision is passed on', async () => {
  for (const decision of ['grant', 'revoke'])
    assert.deepEqual((await fire({ action: 'consent', decision })).calls, [['consent', decision, undefined, undefined]]);
});

test('the sandbox refuses what the template does not declare', async () => {
  await assert.rejects(fire({ ...RELAY, relay: 'http://relay.shop.example' }), /no permission to inject/);
});
