// When nothing may leave the page: the Pixel's consent is revoked, or nobody has seen the page yet.

let revoked = false;

/** `fbq('consent', word)`: what holds the Pixel holds the relay. @param {unknown} word */
export const setConsent = (word) => {
  revoked = word === 'revoke';
};

export const isOpen = () => !revoked && !document.prerendering;
