// The Pixel's cookies.

/** A cookie of Meta's form; the Pixel ignores and replaces any other, and so do we. @param {string} jar @param {string} name */
export const read = (jar, name) => jar.match(`(?:^|; )${name}=(fb\\.\\d\\.\\d+\\.[^;]+)`)?.[1];
