// Sends one Purchase with Meta's own SDK for Node to the Graph address in argv, and prints what it answered.
import sdk from 'facebook-nodejs-business-sdk';

const [graph, token, pixel, eventId, eventTime] = process.argv.slice(2);
const { FacebookAdsApi, ServerEvent, EventRequest, UserData, CustomData, Content } = sdk;
Object.defineProperty(FacebookAdsApi, 'GRAPH', { get: () => graph });
FacebookAdsApi.init(token, 'en_US', false);

const userData = new UserData()
  .setEmails(['Ada@Example.com'])
  .setClientIpAddress('2001:db8::7')
  .setClientUserAgent('Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0')
  .setFbp('fb.1.1763859600000.1234567890');
const customData = new CustomData()
  .setContents([new Content().setId('sku-1').setQuantity(2)])
  .setValue(49.9)
  .setCurrency('eur')
  .setOrderId(eventId);
const event = new ServerEvent()
  .setEventName('Purchase')
  .setEventTime(Number(eventTime))
  .setEventId(eventId)
  .setUserData(userData)
  .setCustomData(customData)
  .setEventSourceUrl('https://shop.example/thanks')
  .setActionSource('website');
try {
  const response = await new EventRequest(token, pixel).setEvents([event]).execute();
  console.log(JSON.stringify({ received: response.events_received, trace: response.fbtrace_id }));
} catch (error) {
  console.log(JSON.stringify({ status: error.status, error: error.response ?? String(error) }));
}
