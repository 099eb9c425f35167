// IAB Transparency and Consent Framework, versions 2.x. `data-consent-purposes="1 3 4 7"` names the purposes that must
// all be consented to; without it: storage (1), and either personalised advertising (3 and 4) or its measurement (7).

/** @param {import('../types.js').Source} source */
export default ({ data, say, when }) => {
  /** @type {any} */
  const page = window;
  when(
    () => page.__tcfapi,
    () =>
      page.__tcfapi('addEventListener', 2, (/** @type {any} */ tc, /** @type {boolean} */ success) => {
        if (!success) return;
        if (tc.gdprApplies === false) return say(true);
        if (!/^(tcloaded|useractioncomplete)$/.test(tc.eventStatus)) return;
        const given = tc.purpose?.consents || {};
        const named = data.consentPurposes?.split(/\D+/);
        say(!!(named ? named.every((purpose) => given[purpose]) : given[1] && ((given[3] && given[4]) || given[7])));
      }),
  );
};
