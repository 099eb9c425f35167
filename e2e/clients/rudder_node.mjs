// Sends with @rudderstack/rudder-sdk-node what the command line says: URL KEY; prints the messageIds, one a line.
import { randomUUID } from 'node:crypto';
import RudderAnalytics from '@rudderstack/rudder-sdk-node';

const [dataPlaneUrl, writeKey, properties, context] = process.argv.slice(2);
const analytics = new RudderAnalytics(writeKey, { dataPlaneUrl, flushAt: 2 });
const ids = ['Order Completed', 'Product Viewed', 'Products Searched'].map((event) => {
  const messageId = randomUUID();
  analytics.track({ event, userId: 'u-1', messageId, properties: JSON.parse(properties), context: JSON.parse(context) });
  return messageId;
});
await analytics.flush();
console.log(ids.join('\n'));
