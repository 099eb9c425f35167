import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { BUDGET, gzipped } from '../../static/js/build.js';

for (const [name, budget] of Object.entries(BUDGET))
  test(`${name} keeps to ${budget} bytes of gzip`, () => {
    const bytes = gzipped(readFileSync(new URL(`../../static/js/${name}`, import.meta.url)));
    assert.ok(bytes <= budget, `${bytes} bytes`);
  });
