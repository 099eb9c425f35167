// Bundle the snippet into c.js and print its sizes beside those of the file before; --check only compares.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const TARGET = fileURLToPath(new URL('c.js', import.meta.url));

const bundle = async () => {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('snippet/index.js', import.meta.url))],
    bundle: true,
    minify: true,
    format: 'iife',
    target: 'es2021',
    charset: 'utf8',
    // Names that never leave the script: neither posted, nor stored, nor the browser's.
    mangleProps: /^(raw|requests|outcome|armed|ready|told|acknowledged|settle|answer|forbidden)$/,
    write: false,
  });
  return Buffer.from(outputFiles[0].contents);
};

/** @param {Buffer} file */
const sizes = (file) => ({
  raw: file.length,
  gzip: gzipSync(file, { level: 9 }).length,
  brotli: brotliCompressSync(file).length,
});

const previous = () => {
  try {
    return readFileSync(TARGET);
  } catch {
    return Buffer.alloc(0);
  }
};

const [before, after] = [previous(), await bundle()];
if (!process.argv.includes('--check')) {
  console.table({ before: sizes(before), after: sizes(after) });
  writeFileSync(TARGET, after);
} else if (!after.equals(before)) {
  console.error('static/js/c.js is not what its sources build. Run `npm run build` and commit it.');
  process.exitCode = 1;
}
