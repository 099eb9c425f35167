// OneTrust and CookiePro: the group of targeting cookies, C0004 unless `data-consent-group` names another.

/** @param {import('../types.js').Source} source */
export default ({ data, say }) => {
  /** @type {any} */
  const page = window;
  const read = () => {
    const groups = page.OnetrustActiveGroups ?? page.OptanonActiveGroups;
    if (groups == null) return;
    const granted = `,${groups},`.includes(`,${data.consentGroup || 'C0004'},`);
    // Until the visitor has answered, an absent group says nothing.
    if (granted || page.OneTrust?.IsAlertBoxClosed?.()) say(granted);
  };
  addEventListener('OneTrustGroupsUpdated', read);
  read();
};
