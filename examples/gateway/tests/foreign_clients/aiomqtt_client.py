"""aiomqtt, which leaves it to the program to connect again, and does not tell if the session was there."""
import asyncio
import os
import sys
import threading

import aiomqtt
from aiomqtt.client import ProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

import lines
from lines import say


def new_client():
    more = {"clean_session": lines.is_clean}
    if lines.is_v5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = lines.expiry
        more = {"clean_start": lines.is_clean, "properties": properties}
    return aiomqtt.Client(
        lines.HOST,
        lines.port,
        identifier=lines.identifier,
        protocol=ProtocolVersion.V5 if lines.is_v5 else ProtocolVersion.V311,
        transport="websockets" if lines.is_websocket else "tcp",
        tls_context=lines.tls(),
        will=aiomqtt.Will(lines.will, lines.WILL, qos=1) if lines.will else None,
        **more,
    )


async def listen(client):
    async for it in client.messages:
        lines.tell(it.topic.value, it.payload, it.qos, it.retain)


async def obey(client, orders):
    """Does what is ordered; returns when the client shall end. An order stays the first until it is done."""
    while True:
        while not orders:
            await asyncio.sleep(0.002)
        words = orders[0]
        if words[0] == "subscribe":
            granted = await client.subscribe(words[1], int(words[2]))
            say("subscribed", int(getattr(granted[0], "value", granted[0])))
        elif words[0] == "publish":
            topic, qos, retain, body = lines.publish_order(words)
            await client.publish(topic, body, qos, retain)
            say("published")
        elif words[0] == "disconnect":
            return
        del orders[0]


def read(orders):
    for line in sys.stdin:
        orders.append(line.split())
    # The test is gone.
    os._exit(1)


async def main():
    orders = []
    threading.Thread(target=read, args=[orders], daemon=True).start()
    while True:
        try:
            async with new_client() as client:
                say("connected ?")
                work = {asyncio.create_task(listen(client)), asyncio.create_task(obey(client, orders))}
                done, others = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
                for task in others:
                    task.cancel()
                for task in done:
                    task.result()
            return
        except aiomqtt.MqttError:
            say("disconnected")
            await asyncio.sleep(0.2)


asyncio.run(main())
