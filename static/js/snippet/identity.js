// `_fbp` and `_fbc`: adopted as they are, minted where they are missing, before the Pixel builds its first event.

import { isOpen } from './gate.js';

/** A cookie of Meta's form; the Pixel ignores and replaces any other, and so do we. @param {string} name */
const read = (name) => document.cookie.match(`(?:^|; )${name}=(fb\\.\\d\\.\\d+\\.[^;]+)`)?.[1];

/**
 * Set a cookie for 90 days on the widest domain that the browser accepts, as the Pixel does: the browser knows the
 * public suffixes. The number after `fb.` says which one it was.
 * @param {string} name
 * @param {string | number} payload
 */
const mint = (name, payload) => {
  const labels = location.hostname.split('.');
  for (const index of labels.keys()) {
    const value = `fb.${index}.${Date.now()}.${payload}`;
    document.cookie = `${name}=${value};domain=${labels.slice(-1 - index).join('.')};path=/;max-age=7776000;samesite=lax${
      location.protocol === 'https:' ? ';secure' : ''
    }`;
    if (read(name) === value) return;
  }
};

/**
 * Mint what is missing, and give an event what it lacks; a value that the browser did not keep is not claimed.
 * @param {{fbp?: string, fbc?: string}} event
 */
export const identify = (event) => {
  if (isOpen()) {
    const click = /[?&]fbclid=([\w-]{1,500})(&|$)/.exec(location.search)?.[1];
    if (!read('_fbp')) mint('_fbp', Math.floor(Math.random() * 2 ** 31));
    // Click ids are case-sensitive, and the same click keeps its first-seen time.
    if (click && read('_fbc')?.split('.')[3] !== click) mint('_fbc', click);
  }
  event.fbp ||= read('_fbp');
  event.fbc ||= read('_fbc');
};
