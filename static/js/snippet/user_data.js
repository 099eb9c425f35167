// Customer keys. The relay's normaliser is the authority: hashed here is only what both are sure to spell alike.

/** @typedef {Record<string, string[]>} Texts */

/** Plain forms, of which trimming and lower case are the whole normalisation. @type {Record<string, RegExp>} */
const PLAIN = {
  em: /^[\w+-]+(\.[\w+-]+)*@([a-z\d]+(-[a-z\d]+)*\.)+[a-z]{2,}$/,
  external_id: /^(?![\da-f]{32})[!-~]{1,99}$/,
};

/** Every key that has a value, as a list of texts. @param {Record<string, unknown>} userData */
export const asTexts = (userData) => {
  /** @type {Texts} */
  const texts = {};
  for (const key in userData) if (userData[key] != null) texts[key] = [userData[key]].flat().map(String);
  return texts;
};

/** The keys that can be hashed here; rejects outside a secure context. @param {Texts} texts */
export const hash = async (texts) => {
  /** @type {Texts} */
  const hashed = {};
  for (const key in texts) {
    const text = texts[key][0].trim().toLowerCase();
    if (texts[key][1] || !PLAIN[key]?.test(text)) continue;
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
    hashed[key] = [Array.from(new Uint8Array(digest), (byte) => (byte + 256).toString(16).slice(1)).join('')];
  }
  return hashed;
};
