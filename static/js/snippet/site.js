// What the script tag says. Read while the script runs: `currentScript` is gone afterwards.

const script = /** @type {HTMLScriptElement | null} */ (document.currentScript);
export const data = script?.dataset ?? {};
const debugging = 'debug' in data || /[?&]counterfoil_debug=1/.test(location.search);

/** The site key; without one the snippet stays silent. */
export const { site } = data;

/** Where posts go: the script's own origin, unless the tag says otherwise. */
export const endpoint = new URL(data.endpoint || '/v1/events', script?.src || location.href);

/** A part of the snippet that few pages need, from the script's own place. @param {string} name */
export const part = (name) => import(new URL(name + '.js', script?.src) + '');

/** @param {unknown[]} words never personal data */
export const log = (...words) => debugging && console.info('counterfoil', ...words);

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
