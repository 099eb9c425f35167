// Build the scripts that pages load and print their sizes beside those of the files before; --check only compares.
//
// c.js is the core; c.v1.js is the same bytes under a name whose bytes do not change once version 1.0.0 is out. The other
// files are modules that the core imports from its own place when the tag or the browser asks for them.

import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const FOLDER = new URL('.', import.meta.url);
const adapters = readdirSync(new URL('snippet/consent', FOLDER)).map((name) => `consent/${name}`);

/** Bytes of gzip that each file may have. */
export const BUDGET = {
  'c.js': 3072,
  'address.js': 750,
  'consent.js': 850,
  'ga4.js': 1600,
  'debug.js': 450,
  'history.js': 350,
  'judge.js': 650,
  'mint.js': 450,
  'radar.js': 1700,
  'restore.js': 350,
  'user_data.js': 400,
  'warm.js': 350,
  .../** @type {Record<string, number>} */ (Object.fromEntries(adapters.map((name) => [name, 400]))),
};

/** What the radar knows of other senders: their marks, without the words that are for people. */
export const MARKS = JSON.parse(readFileSync(new URL('../../relay/senders.json', FOLDER), 'utf8')).map(
  (/** @type {Record<string, string>} */ { id, mark, agent, event_id }) => ({ id, mark, agent, event_id }),
);

/** @param {string} entry @param {import('esbuild').BuildOptions} options */
const bundle = async (entry, options) => {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(`snippet/${entry}`, FOLDER))],
    bundle: true,
    minify: true,
    target: 'es2021',
    charset: 'utf8',
    write: false,
    define: { COUNTERFOIL_SENDERS: JSON.stringify(MARKS) },
    ...options,
  });
  return Buffer.from(/** @type {import('esbuild').OutputFile[]} */ (outputFiles)[0].contents);
};

/** @returns {Promise<[string, Buffer][]>} */
const bundleAll = async () => {
  const core = await bundle('index.js', {
    format: 'iife',
    // Names that never leave the script: neither posted, nor stored, nor the browser's, nor read by its parts.
    mangleProps: /^raw$/,
  });
  const [, ...names] = Object.keys(BUDGET);
  const parts = names.map(
    async (name) => /** @type {[string, Buffer]} */ ([name, await bundle(name, { format: 'esm', target: 'es2020' })]),
  );
  return [['c.js', core], ...(await Promise.all(parts))];
};

const { version } = JSON.parse(readFileSync(new URL('npm/package.json', FOLDER), 'utf8'));
const isReleased = Number(version.split('.')[0]) > 0;

/** @param {string} name */
const read = (name) => {
  try {
    return readFileSync(new URL(name, FOLDER));
  } catch {
    return Buffer.alloc(0);
  }
};

/** @param {Buffer} file */
export const gzipped = (file) => gzipSync(file, { level: 9 }).length;

/** @param {string} name @param {Buffer} file */
const sizes = (name, file) => ({
  raw: file.length,
  gzip: gzipped(file),
  'gzip before': gzipped(read(name)),
  'gzip budget': BUDGET[/** @type {keyof typeof BUDGET} */ (name)],
  brotli: brotliCompressSync(file).length,
});

const main = async () => {
  const built = await bundleAll();
  const written = isReleased ? built : [...built, /** @type {[string, Buffer]} */ (['c.v1.js', built[0][1]])];
  if (process.argv.includes('--check')) {
    for (const [name] of written.filter(([name, file]) => !file.equals(read(name)))) {
      console.error(`static/js/${name} is not what its sources build. Run \`npm run build\` and commit it.`);
      process.exitCode = 1;
    }
  } else {
    console.table(Object.fromEntries(built.map(([name, file]) => [name, sizes(name, file)])));
    for (const [name, file] of written) writeFileSync(new URL(name, FOLDER), file);
  }
};

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
