// When nothing may leave the page: consent is not there, or nobody has seen the page yet. And the terms under which the
// rest leaves.

import { data } from './site.js';

/** What the browser's Global Privacy Control means on this site: `ldu`, `drop` or `ignore`. */
export const gpc = navigator.globalPrivacyControl && (data.gpc || 'ldu');

/** Closed at first where consent.js has the first word. @type {import('./types.js').Gate} */
export const gate = { closed: 'consent' in data || gpc === 'drop' };

/** Members of every event: the browser's signal, the consent that was given, Limited Data Use. @type {Record<string, unknown>} */
export const terms = { gpc: navigator.globalPrivacyControl };

/** `fbq('consent', word)`: what holds the Pixel holds the relay. @param {unknown} word */
export const setConsent = (word) => {
  gate.closed = word === 'revoke';
  if (!gate.closed) terms.consent = 'granted';
};

export const isOpen = () => !gate.closed && !document.prerendering;
