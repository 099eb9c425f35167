// What a shop would write in Node: an Express route that calls Meta's SDK before it answers.
import express from 'express';
import sdk from 'facebook-nodejs-business-sdk';

const { CustomData, EventRequest, FacebookAdsApi, ServerEvent, UserData } = sdk;
const { GRAPH_URL, META_ACCESS_TOKEN, PIXEL_ID } = process.env;
Object.defineProperty(FacebookAdsApi, 'GRAPH', { get: () => GRAPH_URL });
FacebookAdsApi.init(META_ACCESS_TOKEN);

const send = (posted, request) =>
  new EventRequest(META_ACCESS_TOKEN, PIXEL_ID)
    .setEvents([
      new ServerEvent()
        .setEventName(posted.event_name)
        .setEventId(posted.event_id)
        .setEventTime(Math.floor(Date.now() / 1000))
        .setEventSourceUrl(posted.url)
        .setActionSource('website')
        .setUserData(
          new UserData()
            .setFbp(posted.fbp)
            .setEmail('ada@example.com')
            .setClientIpAddress('203.0.113.7')
            .setClientUserAgent(request.headers['user-agent']),
        )
        .setCustomData(new CustomData().setValue(posted.custom_data.value).setCurrency(posted.custom_data.currency)),
    ])
    .execute();

const app = express();
app.use(express.json({ type: () => true }));
app.post('/v1/events', async (request, response) => {
  for (const posted of request.body.events) await send(posted, request);
  response.status(202).json({ accepted: request.body.events.length });
});
app.listen(Number(process.argv[2]), '127.0.0.1');
