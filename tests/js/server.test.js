import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { openPage } from './page.js';

openPage();
mock.timers.enable({ apis: ['setTimeout'] });
const { events, find } = await import('../../static/js/snippet/events.js');
const { calls } = await import('../../static/js/snippet/fbq.js');
const { begin } = await import('../../static/js/snippet/track.js');
const { default: sendByServer } = await import('../../static/js/snippet/server.js');

let resumed = 0;
const core = { begin, find, resume: () => void resumed++ };

test('an event of the server alone is off, ready at once, and no call waits for the Pixel', () => {
  sendByServer(core, 'Lead', { value: 5 }, { eventID: 'l-1', pixelIds: ['7'], userData: { em: 'ada@example.com' } });
  const [tracked] = events;
  assert.deepEqual(tracked.event.pixel, { state: 'off', evidence: 'page' });
  assert.deepEqual([tracked.event.event_id, tracked.event.custom_data, tracked.event.pixel_ids], ['l-1', { value: 5 }, ['7']]);
  assert.deepEqual([tracked.ready, resumed, calls.length], [true, 1, 0]);
});

test('the same id again begins no second event', () => {
  sendByServer(core, 'Lead', {}, { eventID: 'l-1', pixelIds: ['7'] });
  assert.deepEqual([events.length, resumed], [1, 1]);
});

test('what the core would say after 6 seconds does not outrank it', () => {
  mock.timers.tick(7000);
  assert.equal(events[0].event.pixel.state, 'off');
});
