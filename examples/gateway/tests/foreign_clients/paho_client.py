"""paho-mqtt, whose thread connects again by itself."""
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

import lines
from lines import say

client = mqtt.Client(
    mqtt.CallbackAPIVersion.VERSION2,
    client_id=lines.identifier,
    protocol=mqtt.MQTTv5 if lines.is_v5 else mqtt.MQTTv311,
    transport="websockets" if lines.is_websocket else "tcp",
    clean_session=None if lines.is_v5 else lines.is_clean,
)
# Held from a call until its number is noted: the other thread may have the answer before.
lock = threading.RLock()
published = set()


def on_publish(_client, _data, mid, _reason, _properties):
    with lock:
        if mid in published:
            published.remove(mid)
            say("published")


def on_subscribe(_client, _data, _mid, reasons, _properties):
    say("subscribed", int(reasons[0].value))


client.on_connect = lambda _client, _data, flags, _reason, _properties: say("connected", int(flags.session_present))
client.on_disconnect = lambda *_: say("disconnected")
client.on_message = lambda _client, _data, it: lines.tell(it.topic, it.payload, it.qos, it.retain)
client.on_publish, client.on_subscribe = on_publish, on_subscribe
client.reconnect_delay_set(1, 1)
if lines.is_tls:
    client.tls_set_context(lines.tls())
if lines.will:
    client.will_set(lines.will, lines.WILL, qos=1)
more = {}
if lines.is_v5:
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = lines.expiry
    more = {"clean_start": lines.is_clean, "properties": properties}
client.connect(lines.HOST, lines.port, keepalive=30, **more)
client.loop_start()
for line in sys.stdin:
    words = line.split()
    with lock:
        if words[0] == "subscribe":
            client.subscribe(words[1], int(words[2]))
        elif words[0] == "publish":
            topic, qos, retain, body = lines.publish_order(words)
            published.add(client.publish(topic, body, qos, retain).mid)
    if words[0] == "disconnect":
        client.disconnect()
        client.loop_stop()
        break
