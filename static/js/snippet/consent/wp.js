// WP Consent API: its category marketing.

/** @param {import('../types.js').Source} source */
export default ({ say }) => {
  /** @type {any} */
  const page = window;
  const readGrant = () => page.wp_has_consent?.('marketing') && say(true);
  document.addEventListener('wp_consent_type_defined', readGrant);
  document.addEventListener('wp_listen_for_consent_change', (/** @type {any} */ { detail }) => {
    if (detail.marketing) say(detail.marketing === 'allow');
  });
  readGrant();
};
