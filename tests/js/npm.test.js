import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createElement, StrictMode } from 'react';
import { renderToString } from 'react-dom/server';
import { consent, load, track } from '../../static/js/npm/index.js';
import { Counterfoil } from '../../static/js/npm/react.js';

const PACKAGE = fileURLToPath(new URL('../../static/js/npm/', import.meta.url));
const OPTIONS = { relay: 'https://relay.shop.example', site: 'demo-shop' };
const { version, exports } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8'));

test('on a server nothing happens and nothing breaks', () => {
  load(OPTIONS);
  consent('grant');
  assert.equal(track('Purchase', { value: 1, currency: 'EUR' }), undefined);
  assert.equal(renderToString(createElement(StrictMode, null, createElement(Counterfoil, { ...OPTIONS, page: '/' }))), '');
});

test('the package has the version of the relay', () => {
  const relay = readFileSync(new URL('../../relay/__init__.py', import.meta.url), 'utf8');
  assert.equal(version, /__version__ = "(.*)"/.exec(relay)?.[1]);
});

test('types come from the sources and hold for those who use them', () => {
  const folder = mkdtempSync(join(tmpdir(), 'counterfoil-'));
  const tsc = fileURLToPath(new URL('../../node_modules/.bin/tsc', import.meta.url));
  execFileSync(tsc, ['--project', join(PACKAGE, 'tsconfig.json'), '--outDir', folder]);
  writeFileSync(
    join(folder, 'shop.ts'),
    `import { load, track } from './index.js';
     load({ relay: 'https://relay.shop.example', site: 'demo-shop', gpc: 'drop', ga4: 'custom' });
     const id: string | undefined = track('Purchase', { value: 5, currency: 'EUR' }, { pixelIds: ['1'] });
     // @ts-expect-error no such meaning
     load({ relay: '', site: '', gpc: 'maybe' });
     // @ts-expect-error the site's key is needed
     load({ relay: '' });
     console.log(id);`,
  );
  execFileSync(tsc, ['--ignoreConfig', '--noEmit', '--strict', '--lib', 'es2020,dom', '--module', 'nodenext', join(folder, 'shop.ts')]);
  for (const { types } of /** @type {{types: string}[]} */ (Object.values(exports)))
    assert.ok(readFileSync(join(folder, types.replace('./types/', ''))).length);
});

test('the script and the posts may have paths of the site’s own', () => {
  /** @type {any[]} */
  const added = [];
  const document = { createElement: () => ({ dataset: {} }), head: { append: (/** @type {any} */ script) => added.push(script) } };
  Object.assign(globalThis, { window: {}, document });
  load({ ...OPTIONS, src: '/assets/shop.js', endpoint: '/assets/in' });
  const [{ src, dataset }] = added;
  assert.deepEqual([src, { ...dataset }], ['/assets/shop.js', { site: 'demo-shop', endpoint: '/assets/in' }]);
});
