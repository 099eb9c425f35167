// `_fbp` and `_fbc` minted. Loaded only where a cookie is missing, or a click has brought the visitor here.

import { read } from './cookies.js';

/**
 * Set a cookie for 90 days on the widest domain that the browser accepts, as the Pixel does: the browser knows the
 * public suffixes. The number after `fb.` says which one it was.
 * @param {string} name
 * @param {string | number} payload
 */
const set = (name, payload) => {
  const labels = location.hostname.split('.');
  const secure = location.protocol === 'https:' ? ';secure' : '';
  for (const index of labels.keys()) {
    const value = `fb.${index}.${Date.now()}.${payload}`;
    const domain = labels.slice(-1 - index).join('.');
    document.cookie = `${name}=${value};domain=${domain};path=/;max-age=7776000;samesite=lax${secure}`;
    if (read(document.cookie, name) === value) return;
  }
};

/** Whichever comes first, this or Meta's script, mints, and the other adopts. */
export const mint = () => {
  const click = /[?&]fbclid=([\w-]{1,500})(&|$)/.exec(location.search)?.[1];
  if (!read(document.cookie, '_fbp')) set('_fbp', Math.floor(Math.random() * 2 ** 31));
  // Click ids are case-sensitive, and the same click keeps its first-seen time.
  if (click && read(document.cookie, '_fbc')?.split('.')[3] !== click) set('_fbc', click);
};
