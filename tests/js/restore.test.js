import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { openPage } from './page.js';

openPage();
mock.timers.enable({ apis: ['setTimeout'] });
const { restore } = await import('../../static/js/snippet/restore.js');

/** What the next page takes up, 3 seconds after its start. @param {Record<string, unknown>} kept @param {Record<string, string>} [cookies] */
const takeUp = (kept, cookies) => {
  openPage({ cookies });
  for (const [key, value] of Object.entries(kept)) localStorage[key] = JSON.stringify(value);
  /** @type {any[]} */
  const events = [];
  restore({ events, find: (id) => events.find(({ event }) => event.event_id === id), resume: () => {} });
  mock.timers.tick(3000);
  return events.map(({ event }) => event.event_id);
};

/** @param {string} event_id @param {number} [age_ms] */
const kept = (event_id, age_ms = 1000) => ({ event: { event_id, event_name: 'Lead', pixel: {} }, wall: Date.now() - age_ms });

test('what an earlier page left is taken up, and removed once it is a day old or unreadable', () => {
  const left = { 'counterfoil:a,Lead,': kept('a'), 'counterfoil:b,Lead,': kept('b', 864e5), 'counterfoil:c': null, other: 1 };
  assert.deepEqual(takeUp(left), ['a']);
  assert.deepEqual(Object.keys(localStorage), ['counterfoil:a,Lead,', 'other']);
});

test('what a beacon’s answer acknowledged by cookie does not come again', () => {
  // The names are those of tests/web/test_cookies.py.
  const left = { 'counterfoil:lead-1,Lead,': kept('lead-1'), 'counterfoil:lead-1,Lead,1234567890': kept('lead-1'), 'counterfoil:e-2,Lead,': kept('e-2') };
  assert.deepEqual(takeUp(left, { counterfoil_5f0cb4eb: '1', counterfoil_65880d52: '1' }), ['e-2']);
  assert.deepEqual(Object.keys(localStorage), ['counterfoil:e-2,Lead,']);
});

test('the newest fifty are kept', () => {
  const left = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`counterfoil:e-${n},Lead,`, kept(`e-${n}`, n * 1000 + 1000)]));
  assert.equal(takeUp(left).length, 50);
  assert.ok(!('counterfoil:e-50,Lead,' in localStorage));
});
