import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { openPage } from './page.js';

openPage();
const { report } = await import('../../static/js/snippet/leg.js');
const { follow } = await import('../../static/js/snippet/requests.js');
const { events } = await import('../../static/js/snippet/events.js');
const { setConsent } = await import('../../static/js/snippet/gate.js');
const { begin } = await import('../../static/js/snippet/track.js');

/** @typedef {import('../../static/js/snippet/types.js').State} State */

mock.timers.enable({ apis: ['setTimeout'] });

/** @type {string[]} */
let posts = [];
let status = 202;

beforeEach(() => {
  posts = [];
  status = 202;
  events.length = 0;
  openPage();
  globalThis.fetch = /** @type {any} */ (
    async (/** @type {unknown} */ _, /** @type {{body: string}} */ { body }) => {
      posts.push(JSON.parse(body).events[0].pixel);
      return { status, text: async () => '{}' };
    }
  );
});

const lead = () => {
  begin('Lead', {});
  return events[0];
};
/** A request of the Pixel for it. @param {import('../../static/js/snippet/types.js').Tracked} tracked */
const leave = ({ event }) => follow('image', `https://meta.example/tr/?id=1&ev=Lead&eid=${event.event_id}`);
const told = () => posts.map((/** @type {any} */ leg) => `${leg.state}/${leg.evidence}`);
const answered = () => new Promise((resolve) => setImmediate(resolve));

test('nothing is posted before the Pixel’s request has come to something', () => {
  const tracked = lead();
  leave(tracked);
  mock.timers.tick(2499);
  assert.deepEqual(told(), []);
  report(tracked, 'sent', 'load', --tracked.requests);
  assert.deepEqual(told(), ['sent/load']);
});

test('a request without an answer is pending after 2.5 seconds, and sent once it is answered', async () => {
  const tracked = lead();
  leave(tracked);
  mock.timers.tick(2500);
  await answered();
  report(tracked, 'sent', 'load', --tracked.requests);
  assert.deepEqual(told(), ['pending/settle-timeout', 'sent/load']);
});

test('an event that never leaves is undispatched after 6 seconds, and late when it leaves after all', async () => {
  const tracked = lead();
  mock.timers.tick(6000);
  await answered();
  leave(tracked);
  report(tracked, 'sent', 'load', --tracked.requests);
  assert.deepEqual(told(), ['undispatched/noscript', 'late/load']);
});

test('of two pixels the better outcome counts, once both are known', () => {
  const tracked = lead();
  leave(tracked);
  leave(tracked);
  report(tracked, 'blocked', 'error+noreach', --tracked.requests);
  assert.deepEqual(told(), []);
  report(tracked, 'sent', 'load', --tracked.requests);
  assert.deepEqual(told(), ['sent/load']);
});

const RANKED = /** @type {State[]} */ (['undispatched', 'pending', 'off', 'blocked', 'late', 'sent']);

for (const [index, better] of RANKED.entries())
  for (const worse of RANKED.slice(0, index))
    test(`${better} is not overwritten by ${worse}`, () => {
      const tracked = lead();
      report(tracked, better, 'a');
      report(tracked, worse, 'b');
      assert.deepEqual(tracked.event.pixel.state, better);
    });

test('a refused consent holds the post until it is granted', () => {
  const tracked = lead();
  setConsent('revoke');
  leave(tracked);
  report(tracked, 'sent', 'load', --tracked.requests);
  mock.timers.tick(10000);
  assert.deepEqual(told(), []);
  assert.deepEqual(Object.keys(localStorage), []);
  setConsent('grant');
});

for (const [answer, posted, kept] of [[202, 1, 0], [400, 1, 0], [429, 2, 1], [503, 2, 1]])
  test(`an answer ${answer} means ${posted} post(s), and ${kept} kept event(s) until then`, async () => {
    status = answer;
    report(lead(), 'sent', 'load');
    await answered();
    assert.equal(Object.keys(localStorage).length, kept);
    status = 202;
    mock.timers.tick(90000);
    await answered();
    assert.equal(posts.length, posted);
    assert.deepEqual(Object.keys(localStorage), []);
  });
