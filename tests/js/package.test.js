// The npm package as it would be published: packed, checked by the linters of its trade, unpacked, and used.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
// A copy as deep below the root, so that what packing makes does not stay among the sources.
mkdirSync(join(ROOT, 'test-output', 'npm'), { recursive: true });
const PACKAGE = mkdtempSync(join(ROOT, 'test-output', 'npm', 'package-'));
cpSync(join(ROOT, 'static', 'js', 'npm'), PACKAGE, { recursive: true });
const bin = (/** @type {string} */ name) => fileURLToPath(new URL(`../../node_modules/.bin/${name}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'counterfoil-package-'));
const MODULES = join(folder, 'node_modules');

const [packed] = JSON.parse(
  execFileSync('npm', ['pack', '--json', '--silent', '--pack-destination', folder], { cwd: PACKAGE, encoding: 'utf8' }),
);
rmSync(PACKAGE, { recursive: true });
const tarball = join(folder, packed.filename);
mkdirSync(join(MODULES, 'counterfoil'), { recursive: true });
execFileSync('tar', ['-xzf', tarball, '-C', join(MODULES, 'counterfoil'), '--strip-components=1']);

/** @param {string} source a module of somebody who has installed the package */
const bundle = async (source) => {
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: folder },
    bundle: true,
    minify: true,
    format: 'esm',
    logLevel: 'error',
    write: false,
  });
  return outputFiles[0].text;
};

test('it holds these files and no others', () => {
  const files = packed.files.map((/** @type {{path: string}} */ file) => file.path).sort();
  assert.deepEqual(files, [
    'LICENSE',
    'README.md',
    'index.js',
    'next.js',
    'package.json',
    'react.js',
    'types/index.d.ts',
    'types/next.d.ts',
    'types/react.d.ts',
  ]);
});

test('publint has nothing to say', () => {
  assert.match(execFileSync(bin('publint'), ['--strict', tarball], { encoding: 'utf8' }), /All good!/);
});

test('its types are right for every way to resolve them; it is ESM only, on purpose', () => {
  execFileSync(bin('attw'), [tarball, '--ignore-rules', 'cjs-resolves-to-esm']);
});

test('what is not used is not bundled', async () => {
  assert.equal(await bundle(`import 'counterfoil'; export const one = 1;`), 'var o=1;export{o as one};\n');
  const little = await bundle(`export { consent } from 'counterfoil';`);
  assert.doesNotMatch(little, /fbevents|disablePushState|c\.js/);
  assert.match(await bundle(`export { load } from 'counterfoil';`), /fbevents/);
});

test('in a Node process it can be imported and does nothing', () => {
  const source = `import { consent, load, track } from 'counterfoil';
    load({ relay: 'https://r.example', site: 'demo-shop', pixel: '1' }); consent('grant');
    console.log(track('Purchase', { value: 1, currency: 'EUR' }), typeof window);`;
  writeFileSync(join(folder, 'server.mjs'), source);
  assert.equal(execFileSync('node', ['server.mjs'], { cwd: folder, encoding: 'utf8' }), 'undefined undefined\n');
});
