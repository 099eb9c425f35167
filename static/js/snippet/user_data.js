// Customer keys. The relay's normaliser is the authority: hashed here is only what both are sure to spell alike.

/** Plain forms, of which trimming and lower case are the whole normalisation. @type {Record<string, RegExp>} */
const PLAIN = {
  em: /^[\w+-]+(\.[\w+-]+)*@([a-z\d]+(-[a-z\d]+)*\.)+[a-z]{2,}$/,
  external_id: /^(?!([\da-f]{32})+$)[!-~]{1,100}$/,
};

/** The keys that can be hashed here; none outside a secure context. @param {Record<string, unknown>} userData */
export const hash = async (userData) => {
  /** @type {Record<string, string>} */
  const hashed = {};
  for (const key in userData) {
    const text = String(userData[key]).trim().toLowerCase();
    if (!PLAIN[key]?.test(text)) continue;
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
    hashed[key] = Array.from(new Uint8Array(digest), (byte) => (byte + 256).toString(16).slice(1)).join('');
  }
  return hashed;
};
