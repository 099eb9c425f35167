import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { openPage } from './page.js';

openPage();
mock.timers.enable({ apis: ['setTimeout'] });
const { events } = await import('../../static/js/snippet/events.js');
const { adopt, fire } = await import('../../static/js/snippet/fbq.js');
const { begin } = await import('../../static/js/snippet/track.js');

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
  adopt();
  assert.deepEqual(fbq.queue[0], ['init', '1']);
  const [command, name, data, options] = fbq.queue[1];
  assert.deepEqual([command, name, data], ['track', 'Lead', { a: 1 }]);
  assert.match(options.eventID, /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  assert.deepEqual(
    events.map(({ event }) => [event.event_name, event.event_id, event.custom_data]),
    [['Lead', options.eventID, { a: 1 }]],
  );
});

test('an id of the page wins, under either of its names', () => {
  const fbq = stub();
  adopt();
  fbq('track', 'Lead', {}, { eventID: 'a' });
  fbq('trackCustom', 'Own', {}, { event_id: 7 });
  assert.deepEqual(events.map(({ event }) => event.event_id), ['a', '7']);
  assert.equal(fbq.queue[1][3].eventID, '7');
  assert.equal(fbq.queue[1][3].event_id, 7);
});

test('a call without data still carries its id in the fourth place', () => {
  const fbq = stub();
  adopt();
  fbq('track', 'Lead');
  assert.equal(fbq.queue[0].length, 4);
  assert.equal(fbq.queue[0][3].eventID, events[0].event.event_id);
});

test('single calls name their pixel and carry the id in the fifth place', () => {
  const fbq = stub();
  adopt();
  fbq('trackSingle', 12, 'Lead', {});
  fbq('trackSingleCustom', '34', 'Own', {}, { eventID: 'x' });
  assert.deepEqual(events.map(({ event }) => event.pixel_ids), [['12'], ['34']]);
  assert.equal(fbq.queue[0][4].eventID, events[0].event.event_id);
});

test('a call that Meta’s script puts back on the queue is not noted twice', () => {
  const fbq = stub();
  adopt();
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
  adopt();
  const [oldStub, oldMethod] = [fbq, fbq.callMethod];
  fbq.callMethod = (...args) => oldMethod(...args);
  oldStub('track', 'Lead');
  assert.equal(events.length, 1);
  assert.equal(seen.length, 1);
});

for (const call of [['init', '1', { em: 'x' }], ['set', 'autoConfig', false, '1'], ['track', 5], ['track'], ['trackMagic', 'Lead'], []])
  test(`${JSON.stringify(call)} passes untouched`, () => {
    const fbq = stub();
    adopt();
    fbq(...call);
    assert.deepEqual(fbq.queue[0], call);
    assert.equal(events.length, 0);
  });

test('data that cannot become JSON leaves the page’s call as it was', () => {
  const fbq = stub();
  adopt();
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
  adopt();
  fbq('track', 'PageView');
  fbq('track', 'PageView');
  assert.equal(events.length, 1);
  assert.deepEqual(fbq.queue[1], ['track', 'PageView']);
});

test('our own calls use track for standard names, trackCustom for others, and the single forms for named pixels', () => {
  const fbq = stub();
  for (const [name, pixels] of /** @type {[string, string[]?][]} */ ([['Lead'], ['Own'], ['SubmitApplication', ['1', '2']]])) {
    begin(name, {}, { eventID: name, pixelIds: pixels });
    fire(name, {}, name, pixels);
  }
  assert.deepEqual(fbq.queue.map((/** @type {unknown[]} */ call) => call.slice(0, -2)), [
    ['track', 'Lead'],
    ['trackCustom', 'Own'],
    ['trackSingle', '1', 'SubmitApplication'],
    ['trackSingle', '2', 'SubmitApplication'],
  ]);
  assert.equal(events.length, 3);
});
