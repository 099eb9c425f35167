// One line per event and state in the console. Loaded only for those who ask: `data-debug`, or `?counterfoil_debug=1`.

const LOOK_MS = 100;

/** Never personal data. @param {Pick<import('./types.js').Core, 'events' | 'gate'>} core */
export default ({ events, gate }) => {
  /** @type {Map<unknown, string>} */
  const said = new Map();
  setInterval(() => {
    for (const { event, told = '' } of events) {
      const { state, evidence, transport = 'none', dispatched_ms = '-', settled_ms = '-' } = event.pixel;
      const relay = told || (gate.closed ? 'held: no consent' : 'not told yet');
      const line = `${state}/${evidence} by ${transport}, left after ${dispatched_ms} ms, settled after ${settled_ms} ms; relay: ${relay}`;
      if (said.get(event) !== line)
        console.info('counterfoil', event.event_name, event.event_id, line, new URL('receipts/' + encodeURIComponent(event.event_id), import.meta.url).href);
      said.set(event, line);
    }
  }, LOOK_MS);
};
