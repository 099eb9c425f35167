// A page's Content Security Policy that keeps its posts from the relay: said once, here and to the relay.

/** @typedef {import('./types.js').Violation} Violation */

/** @param {Pick<import('./types.js').Core, 'data' | 'violations'>} core */
export const watchPolicy = ({ data, violations }) => {
  const { origin } = new URL(data.endpoint || '/v1/events', import.meta.url);
  let isSaid = false;

  /** @param {Violation} violation */
  const look = ({ blockedURI, disposition, effectiveDirective }) => {
    if (isSaid || disposition === 'report' || effectiveDirective !== 'connect-src' || !blockedURI.startsWith(origin)) return;
    isSaid = true;
    console.warn(`counterfoil: this page's Content-Security-Policy lacks "connect-src ${origin}"; no event can reach the relay.`);
    // What lets our scripts in lets this in too, and its address tells the relay.
    import(new URL(`policy.js?site=${data.site}`, import.meta.url).href).catch(() => {});
  };
  violations.forEach(look);
  addEventListener('securitypolicyviolation', look, true);
};
