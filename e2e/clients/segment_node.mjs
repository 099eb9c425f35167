// Sends with @segment/analytics-node what the command line says: URL KEY; prints the messageIds, one a line.
import { Analytics } from '@segment/analytics-node';

const [host, writeKey, properties, context] = process.argv.slice(2);
const analytics = new Analytics({ writeKey, host, maxEventsInBatch: 2, flushInterval: 200 });
analytics.on('error', (error) => console.error(error));
const sent = ['Order Completed', 'Product Viewed', 'Products Searched'].map(
  (event) =>
    new Promise((resolve) => {
      const call = { event, userId: 'u-1', properties: JSON.parse(properties), context: JSON.parse(context) };
      analytics.track(call, (_error, made) => resolve(made.event.messageId));
    }),
);
for (const id of await Promise.all(sent)) console.log(id);
await analytics.closeAndFlush();
