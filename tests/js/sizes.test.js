import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { BUDGET, gzipped } from '../../static/js/build.js';

// The core is above its budget still; until it is not, it must not grow. Lower this with it.
const CORE_SO_FAR = 3740;

for (const [name, budget] of Object.entries({ ...BUDGET, 'c.js': Math.max(BUDGET['c.js'], CORE_SO_FAR) }))
  test(`${name} keeps to ${budget} bytes of gzip`, () => {
    const bytes = gzipped(readFileSync(new URL(`../../static/js/${name}`, import.meta.url)));
    assert.ok(bytes <= budget, `${bytes} bytes`);
  });
