// IAB Global Privacy Platform: an opt-out of a US section means what `data-gpc` says, Limited Data Use by default. Where a
// European or Canadian consent section applies, this adapter stays silent: data-consent="tcf" reads those.

const OPT_OUTS = ['SaleOptOut', 'SharingOptOut', 'TargetedAdvertisingOptOut'];
const CONSENT_SECTIONS = [2, 5]; // tcfeuv2, tcfca

/** @param {import('../types.js').Source} source */
export default ({ data, limit, say, when }) => {
  /** @type {any} */
  const page = window;
  when(
    () => page.__gpp,
    () =>
      page.__gpp('addEventListener', (/** @type {any} */ { pingData: ping }) => {
        if (ping?.signalStatus !== 'ready') return;
        if (ping.applicableSections?.some((/** @type {number} */ id) => CONSENT_SECTIONS.includes(id))) return;
        const sections = Object.values(ping.parsedSections || {}).flat();
        const isOut = sections.some((section) => OPT_OUTS.some((name) => section?.[name] === 1));
        if (isOut && !data.gpc) limit();
        say(!(isOut && data.gpc === 'drop'));
      }),
  );
};
