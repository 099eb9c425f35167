// Usercentrics, versions 2 and 3: every service of the category marketing.

/** @param {import('../types.js').Source} source */
export default ({ say }) => {
  /** @type {any} */
  const page = window;

  const read = async () => {
    const { UC_UI: v2, __ucCmp: v3 } = page;
    if (v2 && !v2.isInitialized()) return;
    // Until the visitor has answered, the services' states are only defaults.
    if (await (v3 || v2)?.isConsentRequired()) return;
    if (v3) say((await v3.getConsentDetails()).categories?.marketing?.state === 'ALL_ACCEPTED');
    else if (v2) {
      const services = v2.getServicesBaseInfo().filter((/** @type {any} */ each) => each.categorySlug === 'marketing');
      say(!!services[0] && services.every((/** @type {any} */ each) => each.consent.status));
    }
  };

  for (const name of ['UC_UI_INITIALIZED', 'UC_UI_CMP_EVENT', 'UC_CONSENT']) addEventListener(name, read);
  read();
};
