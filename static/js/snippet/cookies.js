// The Pixel's cookies.

/** A cookie of Meta's form; the Pixel ignores and replaces any other, and so do we. @param {string} name */
export const read = (name) => document.cookie.match(`(?:^|; )${name}=(fb\\.\\d\\.\\d+\\.[^;]+)`)?.[1];
