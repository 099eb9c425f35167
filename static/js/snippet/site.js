// What the script tag says. Read while the script runs: `currentScript` is gone afterwards.

const { dataset: data = {}, src = location.href } = /** @type {Partial<HTMLScriptElement>} */ (document.currentScript || {});
export { data };

/** The site key; without one the snippet stays silent. */
export const { site } = data;

/** Where posts go: the script's own origin, unless the tag says otherwise. */
export const endpoint = new URL(data.endpoint || '/v1/events', src);

/**
 * A part of the snippet that few pages need, from the script's own place. One that cannot be had never comes: what
 * waits for it goes on with what is known.
 * @param {string} name
 * @param {(module: any) => unknown} use
 */
export const part = (name, use) => import(/** @type {any} */ (new URL(name + '.js', src))).then(use).catch(() => {});

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
  } catch {}
};
