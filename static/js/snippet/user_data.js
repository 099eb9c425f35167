// Customer keys, hashed. Loaded with the first of them. The relay's normaliser is the authority: hashed here is only
// what both are sure to spell alike; what is not goes raw.

/** Plain forms, of which trimming and lower case are the whole normalisation. @type {Record<string, RegExp>} */
const PLAIN = {
  em: /^[\w+-]+(\.[\w+-]+)*@([a-z\d]+(-[a-z\d]+)*\.)+[a-z]{2,}$/,
  external_id: /^(?![\da-f]{32})[!-~]{1,99}$/,
};

/** The keys that can be hashed here; rejects outside a secure context. @param {Record<string, unknown>} userData */
export const hash = async (userData) => {
  /** @type {Record<string, string[]>} */
  const hashed = {};
  for (const key in PLAIN) {
    const values = [userData[key]].flat();
    const text = String(values[0] ?? '').trim().toLowerCase();
    if (values[1] != null || !PLAIN[key].test(text)) continue;
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
    hashed[key] = [Array.from(new Uint8Array(digest), (byte) => (byte + 256).toString(16).slice(1)).join('')];
  }
  return hashed;
};
