import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { MARKS } from '../../static/js/build.js';
import { openPage } from './page.js';

openPage();
/** @type {any} */
const page = globalThis;
page.COUNTERFOIL_SENDERS = MARKS;
const { default: open } = await import('../../static/js/snippet/radar.js');

/** @type {any[]} */
let reports = [];
/** @type {(name: string, startTime?: number) => void} what the browser has loaded */
let load;
/** @type {Record<string, () => void>} */
let listeners = {};

const TR = 'https://www.facebook.com/tr/?';
const ours = { event: { event_id: 'ours-1' } };
/** @param {any[]} [events] @param {any} [gate] */
const core = (events = [ours], gate = {}) => /** @type {any} */ ({ data: { site: 'shop', radar: '1' }, events, gate });
/** @param {any} [parts] */
const start = (parts = core()) => {
  open(parts);
  mock.timers.tick(1);
};
const rows = () => reports.flatMap(({ seen }) => seen).filter(({ sender }) => sender !== 'page');

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout'] });
  reports = [];
  listeners = {};
  openPage();
  page.sessionStorage = {};
  delete page.fbq;
  page.addEventListener = (/** @type {string} */ name, /** @type {() => void} */ listener) => (listeners[name] = listener);
  page.navigator.sendBeacon = (/** @type {URL} */ url, /** @type {string} */ body) => reports.push({ url: url.pathname, ...JSON.parse(body) });
  page.PerformanceObserver = class {
    /** @param {(list: any) => void} look */
    constructor(look) {
      load = (name, startTime = 0) => look({ getEntries: () => [{ name, startTime }] });
    }
    observe() {}
  };
});

test('a page is told of once, after ten seconds, with its site', () => {
  start();
  mock.timers.tick(10000);
  listeners.pagehide();
  assert.deepEqual(reports.length, 1);
  assert.equal(reports[0].url.endsWith('/v1/report'), true);
  assert.deepEqual([reports[0].site, reports[0].seen], ['shop', [{ sender: 'page', pixel_id: '', event_name: '', ids: '', count: 1 }]]);
});

test('requests are told by event and by whose id they carry, and never with their values', () => {
  start();
  load(`${TR}id=12&ev=Purchase&eid=ours-1&ud[em]=secret&dl=https%3A%2F%2Fshop.example%2F`);
  load(`${TR}id=12&ev=Purchase&eid=theirs`);
  load(`${TR}id=12&ev=Purchase`);
  load(`${TR}id=12&ev=Purchase`);
  listeners.pagehide();
  assert.deepEqual(
    rows().map(({ sender, ids, count }) => [sender, ids, count]),
    [['pixel', 'ours', 1], ['pixel', 'own', 1], ['pixel', 'none', 2]],
  );
  assert.equal(JSON.stringify(reports).includes('secret'), false);
  assert.equal(JSON.stringify(reports).includes('shop.example'), false);
});

test('agents and ids name the product that made the request', () => {
  start();
  load(`${TR}id=12&ev=Lead&a=tmgoogletagmanager&eid=ours-1`);
  load(`${TR}id=12&ev=Lead&a=woocommerce-7.8.0-3.2.6`);
  load(`${TR}id=12&ev=Lead&eid=ob3_plugin-set_0123`);
  listeners.pagehide();
  assert.deepEqual(rows().map(({ sender, ids }) => [sender, ids]), [['gtm', 'ours'], ['woocommerce', 'none'], ['openbridge', 'own']]);
});

test('scripts and requests with a mark are named once a page', () => {
  page.document.scripts = [{ src: 'https://www.googletagmanager.com/gtm.js?id=GTM-1' }, { src: '', text: 'var pysOptions = {}' }];
  start();
  load('https://gw.shop.example/events?cee=no');
  load('https://gw.shop.example/events?cee=no');
  mock.timers.tick(10000);
  listeners.pagehide();
  assert.deepEqual(rows().map(({ sender, count }) => [sender, count]), [['openbridge', 1], ['gtm', 1], ['pixelyoursite', 1]]);
});

test('a pixel that is initialised twice is counted, another one is not', () => {
  page.document.scripts = [{ src: '', text: "fbq('init', '12');fbq( \"init\" , '13')" }, { src: '', text: "fbq('init','12', {})" }];
  start();
  listeners.pagehide();
  assert.deepEqual(rows(), [{ sender: 'second_init', pixel_id: '12', event_name: '', ids: '', count: 2 }]);
});

test('Meta’s own notice tells of what leaves as a form, and nothing is counted twice', () => {
  /** @type {(transport: string, params: any) => void} */
  let fired = () => {};
  page.fbq = { getFbeventsModules: () => ({ fired: { listen: (/** @type {any} */ listener) => (fired = listener) } }) };
  start();
  fired('POST', new URLSearchParams('id=12&ev=Search'));
  load(`${TR}id=12&ev=Search`, performance.now() + 1);
  load(`${TR}id=12&ev=PageView`, 0);
  listeners.pagehide();
  assert.deepEqual(rows().map(({ event_name, count }) => [event_name, count]), [['Search', 1], ['PageView', 1]]);
});

test('nothing is told while consent is not there, nor of a page that nobody has seen', () => {
  const parts = core([], { closed: true });
  start(parts);
  load(`${TR}id=12&ev=Lead`);
  mock.timers.tick(10000);
  listeners.pagehide();
  assert.deepEqual(reports, []);
  parts.gate.closed = false;
  page.document.prerendering = true;
  listeners.pagehide();
  assert.deepEqual(reports, []);
  page.document.prerendering = false;
  listeners.pagehide();
  assert.equal(rows().length, 1);
});

test('a visit is chosen once, by its share', () => {
  page.Math = Object.assign(Object.create(Math), { random: () => 0.5 });
  start({ ...core(), data: { radar: '0.4' } });
  assert.deepEqual([page.sessionStorage['counterfoil.radar'], Object.keys(listeners)], ['0', []]);
  page.sessionStorage = { 'counterfoil.radar': '1' };
  start({ ...core(), data: { radar: '0.4' } });
  assert.equal('pagehide' in listeners, true);
});

test('what is no Pixel request, or none that could be one, is no row', () => {
  start();
  for (const query of ['', 'id=x&ev=Lead', 'id=12', `id=12&ev=${'n'.repeat(51)}`]) load(TR + query);
  load('https://shop.example/tr/x?id=12&ev=Lead');
  listeners.pagehide();
  assert.deepEqual(rows(), []);
});

test('a report has no more rows than the relay takes', () => {
  start();
  for (let number = 0; number < 99; number++) load(`${TR}id=12&ev=e${number}`);
  listeners.pagehide();
  assert.equal(reports[0].seen.length, 50);
});
