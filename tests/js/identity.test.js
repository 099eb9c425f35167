import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage } from './page.js';

openPage();
const snippet = await import('../../static/js/snippet/identity.js');
const { mint } = await import('../../static/js/snippet/mint.js');
/** What an event that has no identifiers yet is given, once mint.js has come. */
const identify = () => {
  mint();
  /** @type {{fbp?: string, fbc?: string}} */
  const event = {};
  snippet.identify(event);
  return event;
};
const { setConsent } = await import('../../static/js/snippet/gate.js');

test('a first visit mints _fbp on the widest domain that the browser accepts, and counts its labels from zero', () => {
  const { jar } = openPage();
  const { fbp, fbc } = identify();
  assert.match(String(fbp), /^fb\.1\.\d{13}\.\d{1,10}$/);
  assert.equal(fbc, undefined);
  assert.equal(jar.get('_fbp'), fbp);
});

test('a public suffix of two labels moves the index by one', () => {
  openPage({ url: 'https://www.shop.co.example/', suffix: 'co.example' });
  // The fake browser knows one suffix only, so the widest label is taken away by hand.
  assert.match(String(identify().fbp), /^fb\.[02]\./);
});

test('cookies that are there are adopted as they are, an appendix included', () => {
  const cookies = { _fbp: 'fb.1.1700000000000.42.AQICAQMC', _fbc: 'fb.2.1700000000000.IwAR2-x_Y' };
  openPage({ cookies });
  assert.deepEqual(identify(), { fbp: cookies._fbp, fbc: cookies._fbc });
});

test('a cookie that is not of Meta’s form is replaced, as the Pixel would', () => {
  openPage({ cookies: { _fbp: 'GA1.2.3.4' } });
  assert.match(String(identify().fbp), /^fb\.1\./);
});

test('a click id keeps its case, and the same click keeps its first-seen time', () => {
  const first = 'fb.1.1700000000000.IwAR_aB-9';
  openPage({ url: 'https://shop.example/?x=1&fbclid=IwAR_aB-9', cookies: { _fbc: first } });
  assert.equal(identify().fbc, first);
  openPage({ url: 'https://shop.example/?fbclid=iwar_ab-9', cookies: { _fbc: first } });
  assert.match(String(identify().fbc), /^fb\.1\.\d{13}\.iwar_ab-9$/);
});

for (const bad of ['', 'a.b', 'a%0D%0Ab', '<script>', 'x'.repeat(501), 'ü'])
  test(`fbclid ${JSON.stringify(bad.slice(0, 12))} of ${bad.length} characters is ignored`, () => {
    openPage({ url: `https://shop.example/?fbclid=${bad}` });
    assert.equal(identify().fbc, undefined);
  });

test('nothing is minted while consent is revoked', () => {
  const { jar } = openPage();
  setConsent('revoke');
  const event = {};
  snippet.identify(event);
  assert.deepEqual(event, { fbp: undefined, fbc: undefined });
  assert.equal(jar.size, 0);
  setConsent('grant');
});

test('what an event has already is not changed by what the page has now', () => {
  openPage({ cookies: { _fbp: 'fb.1.1700000000000.42' } });
  const event = { fbp: 'fb.1.1600000000000.7' };
  snippet.identify(event);
  assert.equal(event.fbp, 'fb.1.1600000000000.7');
});
