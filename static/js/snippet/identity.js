// `_fbp` and `_fbc`: adopted as they are, minted where they are missing, before the Pixel builds its first event.

import { isOpen } from './gate.js';

/** A cookie of Meta's form; the Pixel ignores and replaces any other, and so do we. @param {string} name */
const read = (name) => document.cookie.match(`(?:^|; )${name}=(fb\\.\\d\\.\\d+\\.[^;]+)`)?.[1];

/** The page's host from its last label to the one so many before it. @param {unknown} index */
const domain = (index) => location.hostname.split('.').slice(-1 - Number(index)).join('.');

/**
 * Set a cookie for 90 days on the widest domain that the browser accepts, as the Pixel does: the browser knows the
 * public suffixes. The number after `fb.` says which one it was.
 * @param {string} name
 * @param {string | number} payload
 */
const mint = (name, payload) => {
  const secure = location.protocol === 'https:' ? ';secure' : '';
  for (let index = 0; index < 9; index++) {
    const value = `fb.${index}.${Date.now()}.${payload}`;
    document.cookie = `${name}=${value};domain=${domain(index)};path=/;max-age=7776000;samesite=lax${secure}`;
    if (read(name) === value) return;
  }
};

/** What the browser's cookies say, missing ones minted; a value that the browser did not keep is not claimed. */
export const identify = () => {
  const click = /[?&]fbclid=([\w-]{1,500})(&|$)/.exec(location.search)?.[1];
  if (isOpen()) {
    if (!read('_fbp')) mint('_fbp', Math.floor(Math.random() * 2 ** 31));
    // Click ids are case-sensitive, and the same click keeps its first-seen time.
    if (click && read('_fbc')?.split('.')[3] !== click) mint('_fbc', click);
  }
  return { fbp: read('_fbp'), fbc: read('_fbc') };
};

/** Whether a host shares the domain that `_fbp` lies on, so that cookies may go along. @param {string} host */
export const isSameSite = (host) => `.${host}`.endsWith('.' + domain(read('_fbp')?.[3]));
