// Complianz: its category marketing, asked by function, because the cookie's prefix is the site's own choice.

/** @param {import('../types.js').Source} source */
export default ({ say }) => {
  /** @type {any} */
  const page = window;
  const readGrant = () => page.cmplz_has_consent?.('marketing') && say(true);
  document.addEventListener('cmplz_fire_categories', readGrant);
  document.addEventListener('cmplz_status_change', (/** @type {any} */ { detail }) => {
    if (detail?.category === 'marketing') say(detail.value === 'allow');
  });
  readGrant();
};
