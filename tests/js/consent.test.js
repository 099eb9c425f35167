import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import complianz from '../../static/js/snippet/consent/complianz.js';
import cookiebot from '../../static/js/snippet/consent/cookiebot.js';
import google from '../../static/js/snippet/consent/google.js';
import gpp from '../../static/js/snippet/consent/gpp.js';
import onetrust from '../../static/js/snippet/consent/onetrust.js';
import tcf from '../../static/js/snippet/consent/tcf.js';
import usercentrics from '../../static/js/snippet/consent/usercentrics.js';
import wp from '../../static/js/snippet/consent/wp.js';

/** @type {any} the page's globals */
let page;
/** What the adapter has said, in order; `limit` for Limited Data Use. @type {(boolean | 'limit')[]} */
let said;

beforeEach(() => {
  const window = new EventTarget();
  const document = new EventTarget();
  page = Object.assign(window, { document });
  said = [];
  Object.assign(globalThis, { window, document, addEventListener: window.addEventListener.bind(window) });
});

/** @param {(source: import('../../static/js/snippet/types.js').Source) => unknown} adapter @param {DOMStringMap} [data] */
const start = (adapter, data = {}) =>
  adapter({
    data,
    limit: () => said.push('limit'),
    say: (granted) => said.push(granted),
    when: (look, then) => look() && then(),
  });

/** @param {EventTarget} target @param {string} name @param {unknown} [detail] */
const happen = (target, name, detail) => target.dispatchEvent(new CustomEvent(name, { detail }));

/** As gtag does. @param {...unknown} args */
const gtag = function (...args) {
  page.dataLayer.push(args);
};

test('google: a default is no denial, an update of both words is a grant', () => {
  start(google);
  gtag('consent', 'default', { ad_storage: 'denied', ad_user_data: 'denied' });
  assert.deepEqual(said, []);
  gtag('consent', 'update', { ad_storage: 'granted', ad_user_data: 'granted' });
  assert.deepEqual(said, [true]);
});

test('google: what was pushed before counts, and pushes reach the page as before', () => {
  page.dataLayer = [['consent', 'default', { ad_storage: 'granted', ad_user_data: 'granted' }]];
  start(google);
  assert.deepEqual(said, [true]);
  assert.equal(page.dataLayer.push({ event: 'gtm.js' }), 2);
});

test('google: an update that denies one of the two is a denial; one word alone is no grant', () => {
  start(google);
  gtag('consent', 'update', { ad_storage: 'granted' });
  assert.deepEqual(said, []);
  gtag('consent', 'update', { ad_user_data: 'denied' });
  assert.deepEqual(said, [false]);
});

test('google: a default for some regions says nothing about this visitor', () => {
  start(google);
  gtag('consent', 'default', { ad_storage: 'granted', ad_user_data: 'granted', region: ['US'] });
  gtag('set', 'ads_data_redaction', true);
  assert.deepEqual(said, []);
});

/** @param {Record<string, unknown>} tc @param {DOMStringMap} [data] */
const ask = (tc, data) => {
  said = [];
  page.__tcfapi = (/** @type {unknown} */ _, /** @type {unknown} */ __, /** @type {Function} */ listener) => listener(tc, true);
  start(tcf, data);
  return said;
};

test('tcf: purposes 1, and 3 and 4 or 7, once there is an answer', () => {
  const answered = { eventStatus: 'useractioncomplete', gdprApplies: true };
  assert.deepEqual(ask({ ...answered, purpose: { consents: { 1: true, 3: true, 4: true } } }), [true]);
  assert.deepEqual(ask({ ...answered, purpose: { consents: { 1: true, 7: true } } }), [true]);
  assert.deepEqual(ask({ ...answered, purpose: { consents: { 1: true, 3: true } } }), [false]);
  assert.deepEqual(ask({ ...answered, purpose: { consents: { 3: true, 4: true, 7: true } } }), [false]);
  assert.deepEqual(ask({ ...answered }), [false]);
});

test('tcf: an open dialogue is no answer, and a failed call none either', () => {
  assert.deepEqual(ask({ eventStatus: 'cmpuishown', gdprApplies: true, purpose: { consents: { 1: true, 7: true } } }), []);
  page.__tcfapi = (/** @type {unknown} */ _, /** @type {unknown} */ __, /** @type {Function} */ listener) => listener(null, false);
  start(tcf);
  assert.deepEqual(said, []);
});

test('tcf: where GDPR does not apply, nothing has to be asked', () => {
  assert.deepEqual(ask({ eventStatus: 'tcloaded', gdprApplies: false }), [true]);
});

test('tcf: the site may name the purposes', () => {
  const tc = { eventStatus: 'tcloaded', gdprApplies: true, purpose: { consents: { 1: true, 7: true } } };
  assert.deepEqual(ask(tc, { consentPurposes: '1 7' }), [true]);
  assert.deepEqual(ask(tc, { consentPurposes: '1,3,4,7' }), [false]);
});

/** @param {Record<string, unknown>} ping @param {DOMStringMap} [data] */
const ping = (ping, data) => {
  said = [];
  page.__gpp = (/** @type {unknown} */ _, /** @type {Function} */ listener) => listener({ pingData: ping });
  start(gpp, data);
  return said;
};

test('gpp: an opt-out is what the site says', () => {
  const out = { signalStatus: 'ready', parsedSections: { usca: [{ SharingOptOut: 1 }, { Gpc: true }] } };
  assert.deepEqual(ping(out), ['limit', true]);
  assert.deepEqual(ping(out, { gpc: 'drop' }), [false]);
  assert.deepEqual(ping(out, { gpc: 'ignore' }), [true]);
});

test('gpp: no opt-out is a grant; no answer yet, or a section that asks for consent, is none', () => {
  assert.deepEqual(ping({ signalStatus: 'ready', parsedSections: { usnat: { SaleOptOut: 2 } } }), [true]);
  assert.deepEqual(ping({ signalStatus: 'not ready' }), []);
  assert.deepEqual(ping({ signalStatus: 'ready', applicableSections: [2], parsedSections: {} }), []);
});

test('cookiebot: the visitor’s answer, of now or of an earlier visit', () => {
  page.Cookiebot = { hasResponse: false, consent: { marketing: false } };
  start(cookiebot);
  assert.deepEqual(said, []);
  page.Cookiebot.consent.marketing = true;
  happen(page, 'CookiebotOnAccept');
  page.Cookiebot.consent.marketing = false;
  happen(page, 'CookiebotOnDecline');
  assert.deepEqual(said, [true, false]);
  page.Cookiebot.hasResponse = true;
  start(cookiebot);
  assert.deepEqual(said, [true, false, false]);
});

test('onetrust: the group, whole and not as a part of another; absent, only once the banner is closed', () => {
  page.OnetrustActiveGroups = ',C0001,C00041,';
  let isClosed = false;
  page.OneTrust = { IsAlertBoxClosed: () => isClosed };
  start(onetrust);
  assert.deepEqual(said, []);
  isClosed = true;
  happen(page, 'OneTrustGroupsUpdated');
  page.OnetrustActiveGroups = ',C0001,C0004,';
  happen(page, 'OneTrustGroupsUpdated');
  assert.deepEqual(said, [false, true]);
});

test('onetrust: the group may have another name; before its script there is nothing', () => {
  start(onetrust, { consentGroup: 'ads' });
  page.OptanonActiveGroups = ',ads,';
  happen(page, 'OneTrustGroupsUpdated');
  assert.deepEqual(said, [true]);
});

const settled = () => new Promise((resolve) => setTimeout(resolve));

test('usercentrics 2: every marketing service', async () => {
  let isRequired = true;
  const services = [
    { categorySlug: 'marketing', consent: { status: true } },
    { categorySlug: 'marketing', consent: { status: false } },
    { categorySlug: 'essential', consent: { status: true } },
  ];
  page.UC_UI = { isInitialized: () => true, isConsentRequired: () => isRequired, getServicesBaseInfo: () => services };
  start(usercentrics);
  await settled();
  assert.deepEqual(said, []);
  isRequired = false;
  happen(page, 'UC_UI_CMP_EVENT');
  await settled();
  services[1].consent.status = true;
  happen(page, 'UC_UI_CMP_EVENT');
  await settled();
  assert.deepEqual(said, [false, true]);
});

test('usercentrics 3: the category’s state; without the platform nothing', async () => {
  start(usercentrics);
  await settled();
  page.__ucCmp = {
    isConsentRequired: async () => false,
    getConsentDetails: async () => ({ categories: { marketing: { state: 'ALL_ACCEPTED' } } }),
  };
  happen(page, 'UC_CONSENT');
  await settled();
  assert.deepEqual(said, [true]);
});

test('complianz: a change of marketing, and no other category’s', () => {
  page.cmplz_has_consent = () => false;
  start(complianz);
  happen(page.document, 'cmplz_status_change', { category: 'statistics', value: 'allow' });
  assert.deepEqual(said, []);
  happen(page.document, 'cmplz_status_change', { category: 'marketing', value: 'allow' });
  happen(page.document, 'cmplz_status_change', { category: 'marketing', value: 'deny' });
  assert.deepEqual(said, [true, false]);
});

test('wp: a stored grant at once, a change when it comes', () => {
  page.wp_has_consent = (/** @type {string} */ category) => category === 'marketing';
  start(wp);
  happen(page.document, 'wp_listen_for_consent_change', { statistics: 'allow' });
  happen(page.document, 'wp_listen_for_consent_change', { marketing: 'deny' });
  assert.deepEqual(said, [true, false]);
});
