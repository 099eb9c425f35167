// What the script tag says. Read while the script runs: `currentScript` is gone afterwards.

const script = /** @type {HTMLScriptElement | null} */ (document.currentScript);
const { site, endpoint: given, debug } = script?.dataset ?? {};

/** The site key; without one the snippet stays silent. */
export { site };

/** Where posts go: the script's own origin unless the tag says otherwise. */
export const endpoint = new URL(given || '/v1/events', given ? location.href : script?.src || location.href);

const debugging = debug != null || /[?&]counterfoil_debug=1/.test(location.search);

/** @param {unknown[]} words never personal data */
export const log = (...words) => {
  if (debugging) console.info('counterfoil', ...words);
};

/**
 * The snippet is a guest: whatever fails in here, the page must not notice.
 * @template {unknown[]} A
 * @template R
 * @param {(...args: A) => R} work
 * @returns {(...args: A) => R | undefined}
 */
export const guard = (work) => (...args) => {
  try {
    return work(...args);
  } catch (error) {
    log(error);
  }
};
