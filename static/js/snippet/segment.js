// The Pixel's half of what Segment's or RudderStack's browser SDK tracks: the same event under the same id, so that the relay
// holds the SDK's half behind it. The relay's mapper (relay/event/mapping.py) is the authority, and the site's settings come
// from the relay; what it would refuse goes on neither half. Loaded with the first `counterfoil('segment', message)`.

/** @typedef {Record<string, any>} Values */
/** @typedef {{name: string, data: Values}} Mapped */

const EVENTS = /** @type {Record<string, string>} */ ({
  checkoutstarted: 'InitiateCheckout',
  ordercompleted: 'Purchase',
  completedorder: 'Purchase',
  productadded: 'AddToCart',
  addedproduct: 'AddToCart',
  productlistviewed: 'ViewContent',
  viewedproductcategory: 'ViewContent',
  productviewed: 'ViewContent',
  viewedproduct: 'ViewContent',
  productssearched: 'Search',
  productaddedtowishlist: 'AddToWishlist',
  paymentinfoentered: 'AddPaymentInfo',
});
/** Meta's own names; Meta's script warns of any other that comes by `track`. */
const STANDARD =
  /^(AddPaymentInfo|AddTo(Cart|Wishlist)|CompleteRegistration|Contact|CustomizeProduct|Donate|FindLocation|InitiateCheckout|Lead|PageView|Purchase|Schedule|Search|StartTrial|SubmitApplication|Subscribe|ViewContent)$/;
const LISTS = /^(productlistviewed|viewedproductcategory)$/;
const PRODUCT_EVENTS = /^(AddToCart|AddToWishlist|CustomizeProduct|ViewContent)$/;
const ORDER_EVENTS = /^(AddPaymentInfo|InitiateCheckout|Purchase)$/;
const PERSONAL =
  /^(address|birth(date|day)|city|country|dateofbirth|dob|email(address)?|(first|full|last|user)name|gender|mobile|phone(number)?|postalcode|ssn|state|street|telephone|zip(code)?)$/;
const ENVELOPE = /^(actionsource|dataprocessingoptions(country|state)?|fb[cp]|userdata)$/;
const SERVERS = ['Facebook Conversions API', 'Facebook Conversions API (Actions)', 'Facebook Conversions', 'FACEBOOK_CONVERSIONS', 'Counterfoil'];
const PIXELS = ['Facebook Pixel', 'Facebook Pixel Server-Side', 'FACEBOOK_PIXEL'];
const ADVERTISING = /^(advertising|c0004|marketing|targeting)$/i;
const DECIMAL = /^-?\d{1,15}(\.\d{1,15})?$/;

/** @param {string} name */
const squash = (name) => name.replace(/[\s_-]+/g, '').toLowerCase();

/** @param {unknown} value */
const isBlank = (value) => value == null || (typeof value === 'string' && !value.trim());

/** @param {unknown} value */
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** What stands at a dotted path, in its spelling or in camel case. @param {any} members @param {string} path */
const at = (members, path) => {
  for (const name of path.split('.')) {
    const camel = name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
    members = isObject(members) ? (name in members ? members[name] : members[camel]) : undefined;
  }
  return isBlank(members) ? undefined : members;
};

/** The first of the paths at which something stands, and where. @param {any} members @param {string[]} paths */
const first = (members, paths) => {
  const path = paths.find((each) => at(members, each) !== undefined) || '';
  return { value: path && at(members, path), path };
};

/** A number that every receiver reads alike. @param {unknown} raw */
const number = (raw) => {
  if (typeof raw === 'string' && DECIMAL.test(raw.trim())) return Number(raw);
  return typeof raw === 'number' && isFinite(raw) ? raw : undefined;
};

/** @param {unknown} raw @returns {string | undefined} */
const text = (raw) => {
  const [only] = Array.isArray(raw) && raw.length === 1 ? raw : [raw];
  return (typeof only === 'string' || typeof only === 'number') && only !== '' ? String(only) : undefined;
};

/** @param {any} product @returns {Values | undefined} */
const item = (product) => {
  const id = isObject(product) && text(first(product, ['product_id', 'id', 'sku']).value);
  const price = number(at(product, 'price'));
  return id ? { id, quantity: number(at(product, 'quantity')) ?? 1, ...(price !== undefined && { item_price: price }) } : undefined;
};

/** Without members, at any depth, that are named as what is about a person. @param {any} value @returns {any} */
const impersonal = (value) => {
  if (Array.isArray(value)) return value.map(impersonal);
  if (!isObject(value)) return value;
  const kept = Object.entries(value).filter(([name, inner]) => inner != null && !PERSONAL.test(squash(name)));
  return Object.fromEntries(kept.map(([name, inner]) => [name, impersonal(inner)]));
};

/** @param {any} message @param {string} name @param {string} eventName @param {Values} mapping */
const customData = (message, name, eventName, mapping) => {
  const properties = isObject(message.properties) ? message.properties : {};
  const isProduct = PRODUCT_EVENTS.test(eventName);
  const isList = LISTS.test(squash(name));
  /** @type {Values} */
  const data = {};
  const [place, owner] = (mapping.external_id_field || '').split('.');
  const used = new Set(['products', place === 'properties' && owner, ...(isProduct ? ['product_id', 'id', 'sku', 'price', 'quantity'] : [])]);
  /** @param {string} member @param {string[]} paths */
  const take = (member, ...paths) => {
    const { value, path } = first(message, paths);
    if (path) (data[member] = value), used.add(path.replace('properties.', ''));
  };

  const order = [mapping.order_value_field, 'properties.revenue', 'properties.total', 'properties.value'].filter(Boolean);
  if (isProduct) take('value', mapping.product_value_field || 'properties.price', 'properties.value');
  else if (ORDER_EVENTS.test(eventName)) take('value', ...order);
  else take('value', 'properties.revenue', 'properties.value');
  take('currency', 'properties.currency');

  const products = at(properties, 'products');
  const category = text(at(properties, 'category'));
  take('contents', 'properties.contents');
  if (!Array.isArray(data.contents) || !data.contents[0]) {
    delete data.contents;
    const one = isList && category ? { id: category, quantity: 1 } : isProduct && item(properties);
    const items = Array.isArray(products) ? products.map(item).filter(Boolean) : one && [one];
    if (items && items[0]) data.contents = items;
  }
  const ids = (data.contents || []).map((/** @type {any} */ each) => text(each?.id)).filter(Boolean);
  if (ids[0]) Object.assign(data, { content_ids: ids, content_type: 'product' });
  if (Array.isArray(products) && products[0]) data.num_items = products.length;
  else if (isList) data.content_type = 'product_group';
  for (const member of ['content_ids', 'order_id', 'status', 'content_type', 'num_items']) take(member, `properties.${member}`);
  take('search_string', 'properties.search_string', 'properties.query');
  if (isProduct) {
    take('content_name', 'properties.content_name', 'properties.name');
    take('content_category', 'properties.content_category', 'properties.category');
  }
  if (eventName === 'Purchase' && mapping.purchase_currency) data.currency ??= mapping.purchase_currency;

  const known = new Set([...used].map((each) => each && squash(each)));
  const others = mapping.other_properties === false ? [] : Object.entries(properties);
  return {
    ...impersonal(Object.fromEntries(others.filter(([member]) => !known.has(squash(member)) && !ENVELOPE.test(squash(member))))),
    ...data,
  };
};

/** The types that Meta documents, as the relay gives them; what cannot have its type is left out. @param {Values} data */
const clean = (data) => {
  const given = { ...data };
  /** @param {string} member @param {unknown} value */
  const set = (member, value) => (value === undefined ? delete given[member] : (given[member] = value));
  for (const member of ['content_type', 'order_id']) if (member in given) set(member, text(given[member]));
  if ('num_items' in given) set('num_items', number(given.num_items));
  if ('content_ids' in given) {
    const ids = [given.content_ids].flat().map(text).filter(Boolean);
    set('content_ids', ids[0] && ids);
  }
  if ('contents' in given) {
    const items = [given.contents].flat().filter((each) => isObject(each) && text(each.id));
    set('contents', items[0] && items.map((each) => ({ ...each, id: text(each.id) })));
  }
  return given;
};

/** Whether the call keeps its event from Meta, or its visitor does. @param {any} message */
const isKept = ({ integrations, context }) => {
  const chosen = isObject(integrations) ? integrations : {};
  const own = SERVERS.filter((name) => name in chosen);
  const isOff = (/** @type {string} */ name) => chosen[name] == null || chosen[name] === false;
  const preferences = Object.entries(context?.consent?.categoryPreferences || {}).find(([name]) => ADVERTISING.test(name));
  if (preferences && preferences[1] !== true) return true;
  if (own[0]) return own.every(isOff);
  return (chosen.All ?? chosen.all) === false && PIXELS.every(isOff);
};

/**
 * One message as Meta's event; undefined where none is sent, or where the relay would refuse it.
 * @param {any} message
 * @param {Values} mapping the site's, as relay.toml has it
 * @returns {Mapped | undefined}
 */
export const map = (message, mapping) => {
  const isTrack = message.type === 'track';
  const name = isTrack ? message.event : message.type;
  if (isKept(message) || typeof name !== 'string') return;
  const own = isTrack ? mapping.events?.[name] ?? EVENTS[squash(name)] ?? name : mapping[message.type];
  if (!own || own.length > 50) return;
  if ((at(message, 'properties.action_source') || mapping.action_source || 'website') !== 'website') return;
  const data = isTrack ? clean(customData(message, name, own, mapping)) : {};
  if ('value' in data && (data.value = number(data.value)) === undefined) return;
  if ('currency' in data) data.currency = String(data.currency).trim().toUpperCase();
  if (own === 'Purchase' && (data.value === undefined || !data.currency)) return;
  return { name: own, data };
};

/** The site's settings, asked for once. @type {Promise<Values | undefined> | undefined} */
let asked;

/** @param {DOMStringMap} data */
const settings = async ({ site }) => {
  const response = await fetch(new URL(`v1/projects/${site}/settings`, import.meta.url));
  return (await response.json()).counterfoil;
};

/**
 * `counterfoil('segment', message)`. Without the site's own names none is sure to be the relay's: then the server's half goes
 * alone.
 * @param {{data: DOMStringMap}} core
 * @param {any} message
 */
export default async ({ data }, message) => {
  const mapping = await (asked ||= settings(data).catch(() => undefined));
  const mapped = mapping && map(message, mapping);
  if (!mapped || !message.messageId) return;
  const { counterfoil, fbq } = window;
  if (fbq) fbq.allowDuplicatePageViews = true; // each page call is one
  counterfoil?.(STANDARD.test(mapped.name) ? 'track' : 'trackCustom', mapped.name, mapped.data, { eventID: message.messageId });
};
