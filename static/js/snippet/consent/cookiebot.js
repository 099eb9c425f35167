// Cookiebot: its category marketing.

/** @param {import('../types.js').Source} source */
export default ({ say }) => {
  /** @type {any} */
  const page = window;
  const read = () => say(!!page.Cookiebot.consent.marketing);
  for (const name of ['ConsentReady', 'Accept', 'Decline']) addEventListener('CookiebotOn' + name, read);
  if (page.Cookiebot?.hasResponse) read();
};
