// Build the scripts that pages load and print their sizes beside those of the files before; --check only compares.
//
// c.js is the core; c.v1.js is the same bytes under a name whose bytes do not change once version 1.0.0 is out. The other
// files are modules that the core imports from its own place when the tag or the browser asks for them.

import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { minify } from 'terser';

const FOLDER = new URL('.', import.meta.url);
const adapters = readdirSync(new URL('snippet/consent', FOLDER)).map((name) => `consent/${name}`);

/** Bytes of gzip (level 9) that each file may have; 3,072 are 3.0 KiB. */
export const BUDGET = {
  'c.js': 3072,
  'address.js': 750,
  'after.js': 1850,
  'consent.js': 850,
  'ga4.js': 1600,
  'debug.js': 450,
  'history.js': 350,
  'judge.js': 700,
  'mint.js': 450,
  'radar.js': 1700,
  'segment.js': 2450,
  'user_data.js': 400,
  'warm.js': 350,
  'server.js': 350,
  .../** @type {Record<string, number>} */ (Object.fromEntries(adapters.map((name) => [name, 400]))),
};

/** What the radar knows of other senders: their marks, without the words that are for people. */
export const MARKS = JSON.parse(readFileSync(new URL('../../relay/senders.json', FOLDER), 'utf8')).map(
  (/** @type {Record<string, string>} */ { id, mark, agent, event_id }) => ({ id, mark, agent, event_id }),
);

/**
 * Names that the core shares with its parts and nobody else: neither posted, nor stored, nor the browser's. A pinned core
 * lives longer than the parts beside it, so a name keeps its letter; new ones go to the end.
 */
const SHARED = Object.fromEntries(
  'raw requests ready told begin calls fail follow resume terms gate closed heard failed loaded violations'
    .split(' ')
    .map((name, index) => [name, String.fromCharCode(97 + index)]),
);

/** @param {string} entry @param {import('esbuild').BuildOptions} options */
const bundle = async (entry, options) => {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(`snippet/${entry}`, FOLDER))],
    bundle: true,
    mangleProps: RegExp(`^(${Object.keys(SHARED).join('|')})$`),
    mangleCache: SHARED,
    format: 'esm',
    charset: 'utf8',
    write: false,
    define: { COUNTERFOIL_SENDERS: JSON.stringify(MARKS) },
    ...options,
  });
  return /** @type {import('esbuild').OutputFile[]} */ (outputFiles)[0].text;
};

/** Reading a property changes nothing in our modules, and 1 does for true. @param {string} code @param {boolean} isModule */
const squeeze = async (code, isModule) => {
  const compress = { passes: 3, pure_getters: true, booleans_as_integers: !isModule };
  const options = { ecma: /** @type {const} */ (2020), module: true, compress };
  const { code: small } = await minify(code, options);
  return Buffer.from(isModule ? `${small}\n` : `(()=>{${small}})()\n`);
};

/** @returns {Promise<[string, Buffer][]>} */
const bundleAll = async () => {
  const files = Object.keys(BUDGET).map(async (name) => {
    const isCore = name === 'c.js';
    const code = await bundle(isCore ? 'index.js' : name, { target: isCore ? 'es2021' : 'es2020' });
    return /** @type {[string, Buffer]} */ ([name, await squeeze(code, !isCore)]);
  });
  return Promise.all(files);
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
