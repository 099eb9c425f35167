// When nothing may leave the page: consent is not there, or nobody has seen the page yet. And the terms under which the
// rest leaves.

import { data } from './site.js';

/** Closed at first where consent.js has the first word: it asks the page's consent platform, or reads the browser's GPC. */
export const gate = { closed: 'consent' in data || navigator.globalPrivacyControl };

/** Members of every event: the consent that was given, and Limited Data Use. @type {Record<string, unknown>} */
export const terms = {};

/** `fbq('consent', word)`: what holds the Pixel holds the relay. @param {unknown} word */
export const setConsent = (word) => {
  gate.closed = word === 'revoke';
  terms.consent = 'granted';
};

export const isOpen = () => !gate.closed && !document.prerendering;
