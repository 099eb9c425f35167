// GA4 ecommerce events of the page's dataLayer as Meta's, both halves from one mapper: what `counterfoil('track', …)`
// gives the Pixel is what the relay gets. Loaded where the tag says `data-ga4`. Nothing is made up: no currency, no value.

/** @typedef {Record<string, any>} Values */
/** @typedef {{name: string, data: Values, options: {eventID?: string, userData: Values}}} Mapped */
/** @typedef {{list?: string, custom?: boolean, itemId?: string, userData?: Values}} Choices */

const RENAMED = /** @type {Record<string, string>} */ ({
  page_view: 'PageView',
  view_item: 'ViewContent',
  begin_checkout: 'InitiateCheckout',
  generate_lead: 'Lead',
  sign_up: 'CompleteRegistration',
});

/** GA4's name is Meta's in another spelling. */
const RESPELT =
  /^(search|add_to_wishlist|add_to_cart|add_payment_info|purchase|contact|customize_product|donate|find_location|schedule|start_trial|submit_application|subscribe)$/;

/** Steps that Meta has no event for, and what Google's own scripts push. */
const SILENT =
  /^(select_item|remove_from_cart|view_cart|add_shipping_info|refund|login|share|join_group|(view|select)_promotion|user_engagement|scroll|click|session_start|first_visit|form_(start|submit)|file_download|video_.*|gtm\..*)$/;

const USER_KEYS = { em: 'email_address email', ph: 'phone_number' };
const ADDRESS_KEYS = { fn: 'first_name', ln: 'last_name', ct: 'city', st: 'region', zp: 'postal_code', country: 'country' };
const EVENT_ID_MAX = 200;

/** @param {string} event @param {Choices} choices */
const rename = (event, { list, custom }) => {
  if (event === 'view_item_list') return list === 'viewcontent' ? 'ViewContent' : list === 'custom' ? 'ViewCategory' : '';
  if (RESPELT.test(event)) return event.replace(/(^|_)(.)/g, (_, _gap, letter) => letter.toUpperCase());
  return RENAMED[event] || (custom && !SILENT.test(event) && event.length <= 50 ? event : '');
};

/** A finite number, from one or from its text. @param {unknown} raw */
const number = (raw) => (raw != null && raw !== '' && isFinite(Number(raw)) ? Number(raw) : undefined);

/** @param {Values} values without what is not there */
const given = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value != null && value !== ''));

/** The sum of the items, where each has a price; GA4 counts an item without a quantity once. @param {Values[]} items */
const sum = (items) => {
  const total = items.reduce(
    (soFar, { price, discount, quantity }) =>
      soFar + (/** @type {number} */ (number(price)) - (number(discount) ?? 0)) * (number(quantity) ?? 1),
    0,
  );
  return items[0] && isFinite(total) ? Math.round(total * 1e4) / 1e4 : undefined;
};

/** @param {Values | undefined} user @param {Values} keys */
const pick = (user, keys) =>
  given(
    Object.fromEntries(
      Object.entries(keys).map(([key, names]) => [
        key,
        names.split(' ').reduce((/** @type {unknown} */ found, /** @type {string} */ name) =>
          found ?? user?.[name] ?? user?.['sha256_' + name], undefined),
      ]),
    ),
  );

/** GA4's user_data as Meta's customer keys; an address may be a list. @param {Values} user */
export const mapUser = (user) => ({ ...pick(user, USER_KEYS), ...pick([user.address].flat()[0], ADDRESS_KEYS) });

/**
 * One GA4 event as Meta's; undefined where Meta has none, or where a purchase lacks what Meta needs.
 * @param {string} event
 * @param {Values} values
 * @param {Choices} [choices]
 * @returns {Mapped | undefined}
 */
export const map = (event, values, choices = {}) => {
  const name = rename(event, choices);
  if (!name) return;
  /** @type {Values[]} */
  const items = [values.items || []].flat();
  /** @type {Values[]} */
  const known = items.map((item) => ({ ...item, id: item[choices.itemId || 'item_id'] ?? item.id })).filter(({ id }) => id);
  const isPurchase = name === 'Purchase';
  const value = number(values.value) ?? (isPurchase ? undefined : sum(items));
  const { currency, search_term, transaction_id } = values;
  if (isPurchase && (value == null || !currency)) return;
  const [only] = items[1] ? [] : items;
  const data = given({
    content_ids: known[0] && known.map(({ id }) => String(id)),
    content_type: known[0] && (event === 'view_item_list' ? 'product_group' : 'product'),
    contents:
      known[0] &&
      known.map(({ id, quantity, price }) =>
        given({ id: String(id), quantity: number(quantity) ?? 1, item_price: number(price) }),
      ),
    content_name: only?.item_name,
    content_category: only?.item_category,
    // A number without its currency would be read in the account's.
    ...(currency && { value, currency }),
    num_items: name === 'InitiateCheckout' && items[0] ? items.reduce((n, item) => n + (number(item.quantity) ?? 1), 0) : null,
    search_string: search_term,
    order_id: isPurchase && transaction_id ? String(transaction_id) : null,
  });
  const seeded = data.order_id && `${name}.${data.order_id}`;
  const eventID = seeded && seeded.length <= EVENT_ID_MAX ? seeded : undefined;
  return { name, data, options: { eventID, userData: choices.userData || {} } };
};

/**
 * The event of one push: `gtag('event', name, {…})`, or `{event: name, ecommerce: {…}}` for Tag Manager.
 * @param {any} entry
 * @returns {[string, Values] | undefined}
 */
export const read = (entry) => {
  if (entry?.[0] === 'event') return [String(entry[1]), entry[2] || {}];
  if (typeof entry?.event === 'string') return [entry.event, entry.ecommerce || entry];
};

/** @param {import('./types.js').Core} core */
export default ({ data }) => {
  /** @type {any} */
  const page = window;
  const layer = (page.dataLayer ||= []);
  let userData = {};

  /** @param {any} entry */
  const take = (entry) => {
    const user = entry?.[0] === 'set' && entry[1] === 'user_data' ? entry[2] : (entry?.[2] || entry)?.user_data;
    if (user) userData = mapUser(user);
    const [event, values] = read(entry) || [''];
    const mapped = event && map(event, values || {}, { ...choices, userData });
    if (!mapped) return;
    const isOwn = mapped.name === event || mapped.name === 'ViewCategory'; // no name of Meta's
    page.counterfoil(isOwn ? 'trackCustom' : 'track', mapped.name, mapped.data, mapped.options);
  };
  const choices = { list: data.ga4List, custom: data.ga4 === 'custom', itemId: data.ga4ItemId };

  /** A push of the page must not fail for our sake. @param {unknown} entry */
  const tryToTake = (entry) => {
    try {
      take(entry);
    } catch (error) {
      if ('debug' in data) console.info('counterfoil', error);
    }
  };

  const { push } = layer;
  layer.push = /** @param {unknown[]} entries */ (...entries) => {
    entries.forEach(tryToTake);
    return push.apply(layer, entries);
  };
  layer.forEach(tryToTake);
};
