// When nothing may leave the page: the Pixel's consent is revoked, or nobody has seen the page yet.

import { guard } from './site.js';

let revoked = false;

/** @type {(() => void)[]} */
const waiting = [];

export const isOpen = () => !revoked && !document.prerendering;

/** @param {() => void} work to be done each time that the gate opens */
export const onOpen = (work) => waiting.push(guard(work));

const reopen = () => {
  if (isOpen()) waiting.forEach((work) => work());
};

/** `fbq('consent', word)`: what holds the Pixel holds the relay. @param {unknown} word */
export const consent = (word) => {
  revoked = word === 'revoke';
  reopen();
};

document.addEventListener('prerenderingchange', reopen);
