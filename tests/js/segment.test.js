import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { map } from '../../static/js/snippet/segment.js';

/** @type {{defaults: Record<string, any>, rows: {about: string, message: any, mapping: Record<string, any>, mapped: any}[]}} */
const { defaults, rows } = JSON.parse(readFileSync(new URL('data/segment.json', import.meta.url), 'utf8'));

// The relay's mapper is held to the same rows by tests/event/test_segment_page.py.
for (const { about, message, mapping, mapped } of rows)
  test(`the message "${about}" is for the Pixel what it is for the relay`, () => {
    assert.deepEqual(map(message, { ...defaults, ...mapping }) ?? null, mapped);
  });

test('a message that is none, or no object inside, is no event and no error', () => {
  for (const message of [{}, { type: 'track' }, { type: 'track', event: 'x', properties: 1, context: 2, integrations: 3 }])
    assert.doesNotThrow(() => map(message, defaults));
});
