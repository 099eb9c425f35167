import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { openPage } from './page.js';

openPage();
mock.timers.enable({ apis: ['setTimeout'] });
const { events } = await import('../../static/js/snippet/events.js');
const { resume } = await import('../../static/js/snippet/fbq.js');

/** @typedef {import('../../static/js/snippet/types.js').Fbq} Fbq */

/** Meta's stub, as the base code makes it, adopted. @returns {Fbq & {queue: any[]}} */
const stub = () => {
  events.length = 0;
  /** @type {any} */
  const fbq = (/** @type {any[]} */ ...args) =>
    fbq.callMethod ? fbq.callMethod.apply(fbq, args) : fbq.queue.push(args);
  fbq.queue = [];
  fbq.allowDuplicatePageViews = true;
  window.fbq = fbq;
  return fbq;
};

test('calls queued before us get an id and are noted, in place', () => {
  const fbq = stub();
  fbq('init', '1');
  fbq('track', 'Lead', { a: 1 });
  resume();
  assert.deepEqual(fbq.queue[0], ['init', '1']);
  const [command, name, data, options] = fbq.queue[1];
  assert.deepEqual([command, name, data], ['track', 'Lead', { a: 1 }]);
  assert.match(options.eventID, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.deepEqual(
    events.map(({ event }) => [event.event_name, event.event_id, event.custom_data]),
    [['Lead', options.eventID, { a: 1 }]],
  );
});

test('an id of the page wins, under either of its names', () => {
  const fbq = stub();
  resume();
  fbq('track', 'Lead', {}, { eventID: 'a' });
  fbq('trackCustom', 'Own', {}, { event_id: 7 });
  assert.deepEqual(events.map(({ event }) => event.event_id), ['a', '7']);
  assert.equal(fbq.queue[1][3].eventID, '7');
  assert.equal(fbq.queue[1][3].event_id, 7);
});

test('a call without data still carries its id in the fourth place', () => {
  const fbq = stub();
  resume();
  fbq('track', 'Lead');
  assert.equal(fbq.queue[0].length, 4);
  assert.equal(fbq.queue[0][3].eventID, events[0].event.event_id);
});

test('single calls name their pixel and carry the id in the fifth place', () => {
  const fbq = stub();
  resume();
  fbq('trackSingle', 12, 'Lead', {});
  fbq('trackSingleCustom', '34', 'Own', {}, { eventID: 'x' });
  assert.deepEqual(events.map(({ event }) => event.pixel_ids), [['12'], ['34']]);
  assert.equal(fbq.queue[0][4].eventID, events[0].event.event_id);
});

test('a call that Meta’s script puts back on the queue is not noted twice', () => {
  const fbq = stub();
  resume();
  fbq.callMethod = (...args) => fbq.queue.push(args);
  fbq('track', 'Lead');
  assert.equal(events.length, 1);
  assert.equal(fbq.queue[0][3].eventID, events[0].event.event_id);
});

test('old references to the stub and to its method pass through us', () => {
  const fbq = stub();
  /** @type {unknown[][]} */
  const seen = [];
  fbq.callMethod = (...args) => seen.push(args);
  resume();
  const [oldStub, oldMethod] = [fbq, fbq.callMethod];
  fbq.callMethod = (...args) => oldMethod(...args);
  oldStub('track', 'Lead');
  assert.equal(events.length, 1);
  assert.equal(seen.length, 1);
});

for (const call of [['init', '1', { em: 'x' }], ['set', 'autoConfig', false, '1'], ['track', 5], ['track'], ['trackMagic', 'Lead'], []])
  test(`${JSON.stringify(call)} passes untouched`, () => {
    const fbq = stub();
    resume();
    fbq(...call);
    assert.deepEqual(fbq.queue[0], call);
    assert.equal(events.length, 0);
  });

test('data that cannot become JSON leaves the page’s call as it was', () => {
  const fbq = stub();
  resume();
  /** @type {any} */
  const knot = {};
  knot.knot = knot;
  fbq('track', 'Lead', knot);
  assert.deepEqual(fbq.queue[0], ['track', 'Lead', knot]);
  assert.equal(events.length, 0);
});

test('a second PageView is left alone unless the page allows it, as Meta’s script drops it', () => {
  const fbq = stub();
  fbq.allowDuplicatePageViews = false;
  resume();
  fbq('track', 'PageView');
  fbq('track', 'PageView');
  assert.equal(events.length, 1);
  assert.deepEqual(fbq.queue[1], ['track', 'PageView']);
});

test('what an event tells the relay alone does not go to Meta’s script', () => {
  const fbq = stub();
  resume();
  fbq('track', 'Lead', {}, { eventID: 'a', userData: { em: 'ada@shop.example' }, signature: 's', own: 1 });
  assert.deepEqual(fbq.queue[0][3], { eventID: 'a', own: 1 });
  assert.deepEqual([events[0].raw, events[0].event.signature], [{ em: 'ada@shop.example' }, 's']);
});
