// What the script tag says. Read while the script runs: `currentScript` is gone afterwards.

const { dataset: data = {}, src = location.href } = /** @type {Partial<HTMLScriptElement>} */ (document.currentScript || {});
export { data };
const debugging = 'debug' in data || /[?&]counterfoil_debug=1/.test(location.search);

/** The site key; without one the snippet stays silent. */
export const { site } = data;

/** Where posts go: the script's own origin, unless the tag says otherwise. */
export const endpoint = new URL(data.endpoint || '/v1/events', src);

/** A part of the snippet that few pages need, from the script's own place. @param {string} name @returns {Promise<any>} */
export const part = async (name) => import(new URL(name + '.js', src) + '');

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
