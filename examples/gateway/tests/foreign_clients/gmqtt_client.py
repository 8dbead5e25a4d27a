"""gmqtt, over TCP and TLS alone, which connects again by itself."""
import asyncio
import sys

import gmqtt
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from gmqtt.storage import PersistentStorage

import lines
from lines import say


def on_message(_client, topic, body, qos, properties):
    lines.tell(topic, body, qos, properties["retain"])
    return 0


async def main():
    storage = PersistentStorage()
    more = {"session_expiry_interval": lines.expiry} if lines.is_v5 else {}
    will = gmqtt.Message(lines.will, lines.WILL, qos=1) if lines.will else None
    client = gmqtt.Client(
        lines.identifier, clean_session=lines.is_clean, will_message=will, persistent_storage=storage, **more
    )
    client.set_config({"reconnect_retries": gmqtt.constants.UNLIMITED_RECONNECTS, "reconnect_delay": 0.2})
    client.on_connect = lambda _client, flags, _reason, _properties: say("connected", flags & 1)
    client.on_disconnect = lambda *_: say("disconnected")
    client.on_message = on_message
    client.on_subscribe = lambda _client, _mid, granted, _properties: say("subscribed", granted[0])
    version = MQTTv50 if lines.is_v5 else MQTTv311
    await client.connect(lines.HOST, lines.port, ssl=lines.tls() or False, keepalive=30, version=version)
    while True:
        words = (await asyncio.to_thread(sys.stdin.readline)).split()
        if words[0] == "subscribe":
            client.subscribe(words[1], int(words[2]))
        elif words[0] == "publish":
            topic, qos, retain, body = lines.publish_order(words)
            client.publish(topic, body, qos=qos, retain=retain)
            await storage.wait_empty()
            say("published")
        elif words[0] == "disconnect":
            await client.disconnect()
            return


asyncio.run(main())
