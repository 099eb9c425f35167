// What a page needs only once it has loaded: one module, fetched then, so that the page's own start pays for the core
// alone. Whatever has to work when the page ends early stands in the core.

import { giveIds } from './automatic.js';
import { takeOver } from './earlier.js';
import { insure } from './insurance.js';
import { watchPolicy } from './policy.js';
import { restore } from './restore.js';
import { retry } from './retry.js';

/** @typedef {import('./types.js').Core} Core */

/** Parts that are asked for by an attribute of the tag, and have time. @param {Core} core */
const addParts = (core) => {
  const { data } = core;
  if (/[?&]counterfoil_debug=1(&|$)/.test(location.search)) data.debug = '';
  for (const name of ['debug', 'radar', 'warm']) if (name in data) part(name, (module) => module.default(core));
};

/** @param {string} name @param {(module: any) => unknown} use */
const part = (name, use) => import(new URL(`${name}.js`, import.meta.url).href).then(use).catch(() => {});

/** Each by itself: what one of them lacks in this browser must not stop the others. @param {Core} core */
export default (core) => {
  for (const begin of [giveIds, insure, takeOver, watchPolicy, restore, retry, addParts])
    try {
      begin(core);
    } catch {}
  if (!window.fbq?.callMethod) part('judge', ({ inspect }) => inspect(core.fail, core.data));
};
