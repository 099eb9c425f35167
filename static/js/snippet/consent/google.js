// Google Consent Mode v2: what the page tells gtag, folded. A default is no decision unless it grants; a default for some
// regions only says nothing, because only Google knows the visitor's.

/** @param {import('../types.js').Source} source */
export default ({ say }) => {
  /** @type {any} */
  const page = window;
  const layer = (page.dataLayer ||= []);
  /** @type {Record<string, string>} */
  const state = {};

  /** @param {any} entry */
  const take = (entry) => {
    if (entry?.[0] !== 'consent' || entry[2].region) return;
    Object.assign(state, entry[2]);
    const words = [state.ad_storage, state.ad_user_data];
    if (words.every((word) => word === 'granted')) say(true);
    else if (entry[1] === 'update' && words.includes('denied')) say(false);
  };

  const { push } = layer;
  layer.push = /** @param {unknown[]} entries */ (...entries) => {
    entries.forEach(take);
    return push.apply(layer, entries);
  };
  layer.forEach(take);
};
