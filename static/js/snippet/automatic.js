// Events that Meta's script fires by itself, such as the PageView of a history change: an id for each, by its own
// notices. Those are undocumented, so only where they are there.

/** @param {Pick<import('./types.js').Core, 'begin' | 'follow' | 'gate'>} core */
export const giveIds = ({ begin, follow, gate }) => {
  /** Meta's script may come later than we do, and more than once: then we listen twice, and an event has its id already. */
  gate.loaded = () => {
    const { fired, setEventId } = window.fbq?.getFbeventsModules?.('SignalsFBEventsEvents') || {};
    fired?.listen((/** @type {unknown} */ _, /** @type {unknown} */ params) => follow('unknown', '/tr', params));
    setEventId?.listen((/** @type {string} */ pixel, /** @type {any} */ params, /** @type {string} */ name) => {
      if (!params.get('eid')) params.append('eid', begin(name, {}, '', [String(pixel)]));
    });
  };
  gate.loaded();
};
