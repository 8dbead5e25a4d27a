// mqtt.js, the same in Node and in a page: `start` connects and returns what takes an order.
// `resubscribe` is off, so that a subscription which is there after a new connection is one that the gateway kept.
function start(mqtt, [version, url, identifier, clean, expiry, will], say, more = {}) {
  const options = {
    ...more,
    clientId: identifier,
    clean: clean === "1",
    protocolVersion: version === "5" ? 5 : 4,
    keepalive: 30,
    reconnectPeriod: 200,
    resubscribe: false,
  };
  if (version === "5") options.properties = { sessionExpiryInterval: Number(expiry) };
  if (will !== "-") options.will = { topic: will, payload: "gone", qos: 1, retain: false };
  const client = mqtt.connect(url, options);
  client.on("connect", (connack) => say(`connected ${Number(connack.sessionPresent)}`));
  client.on("close", () => say("disconnected"));
  client.on("error", (error) => say(`error ${error.message}`));
  client.on("message", (topic, body, { qos, retain }) => {
    let total = 7;
    for (const byte of body) total = (Math.imul(total, 31) + byte) >>> 0;
    say(`message ${topic} ${qos} ${Number(retain)} ${body.length} ${total}`);
  });
  const failed = (error) => error && say(`error ${error.message}`);
  return ([order, topic, qos, retain, size, seed]) => {
    if (order === "subscribe") {
      client.subscribe(topic, { qos: Number(qos) }, (error, granted) => failed(error) || say(`subscribed ${granted[0].qos}`));
    } else if (order === "publish") {
      const body = new Uint8Array(Number(size)).map((_, at) => Number(seed) + at * 31 + (at >> 8));
      const sent = (error) => failed(error) || say("published");
      client.publish(topic, body, { qos: Number(qos), retain: retain === "1" }, sent);
    } else if (order === "disconnect") {
      client.end(false, {}, () => say("ended"));
    }
  };
}

if (typeof module !== "undefined") module.exports = { start };
