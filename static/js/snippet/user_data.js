// Customer keys. The relay's normaliser is the authority: what is hashed here is only what both spell alike.

/** Plain forms of which trimming and lower case are the whole normalisation. @type {Record<string, RegExp>} */
const PLAIN = {
  em: /^[\w+-]+(\.[\w+-]+)*@([a-z\d]([a-z\d-]*[a-z\d])?\.)+[a-z]{2,}$/,
  external_id: /^(?![\da-f]{32}$)[!-~]{1,100}$/,
};
const HASHED = /^[\da-f]{64}$/;

/** @param {string} text */
const sha256 = async (text) => {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
};

/** @param {string} key @param {string} value */
const hash = (key, value) => {
  const text = value.trim().toLowerCase();
  return crypto.subtle && !HASHED.test(text) && PLAIN[key]?.test(text) ? sha256(text) : value;
};

/**
 * Every key with its values as a list of texts; empty ones are left out.
 * @param {Record<string, unknown>} userData
 * @returns {Record<string, string[]>}
 */
export const asTexts = (userData) => {
  /** @type {Record<string, string[]>} */
  const texts = {};
  for (const key in userData) {
    const values = [userData[key]].flat().filter((value) => value != null && value !== '').map(String);
    if (values.length) texts[key] = values;
  }
  return texts;
};

/**
 * Hash what can be hashed alike; all else stays raw for the relay, as everything does outside a secure context.
 * @param {Record<string, string[]>} texts
 */
export const hashUserData = async (texts) => {
  /** @type {Record<string, string[]>} */
  const hashed = {};
  for (const key in texts) hashed[key] = await Promise.all(texts[key].map((value) => hash(key, value)));
  return hashed;
};

/**
 * Only the hashed values: what may lie on the visitor's disk, or travel over plain HTTP.
 * @param {Record<string, string[]>} [texts]
 */
export const onlyHashed = (texts = {}) => {
  /** @type {Record<string, string[]>} */
  const kept = {};
  for (const key in texts) kept[key] = texts[key].filter((value) => HASHED.test(value));
  return kept;
};
