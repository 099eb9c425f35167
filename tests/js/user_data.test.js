import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { hash } from '../../static/js/snippet/user_data.js';

/** Rows of the relay's own normalisation table. @type {{field: string, value: unknown, sha256: string | null}[]} */
const rows = JSON.parse(readFileSync(new URL('data/user_data.json', import.meta.url), 'utf8'));

for (const { field, value, sha256 } of rows)
  test(`${field} ${JSON.stringify(value)} is hashed as the relay hashes it, or left to the relay`, async () => {
    const hashed = await hash({ [field]: value });
    if (field in hashed) assert.deepEqual(hashed[field], [sha256]);
  });

test('plain addresses and ids are hashed here', async () => {
  const hashed = await hash({ em: ' Ada@Example.com ', external_id: 'User-1', ph: '+49 30 901820', fn: 'Ada' });
  assert.deepEqual(Object.keys(hashed), ['em', 'external_id']);
});

test('what is hashed already, empty or a list is left to the relay', async () => {
  assert.deepEqual(await hash({ em: 'a'.repeat(64), external_id: ['a', 'b'], ct: null }), {});
  assert.deepEqual(await hash({ external_id: 'ab'.repeat(32) }), {});
});
