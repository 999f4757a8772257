"""Eclipse Paho as a process that a test drives: one JSON command a line on stdin, one JSON event a line on stdout.

Works with Paho 1.6 and with Paho 2, whose second callback API passes reason codes and properties for every
version of MQTT. Commands: connect, subscribe, unsubscribe, publish, disconnect, reset. Each is answered by
the event that Paho's own callback for it makes; messages come as events of their own.
"""

import base64
import inspect
import json
import socket
import struct
import sys
import threading

import paho.mqtt
import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

try:
    from paho.mqtt.reasoncodes import ReasonCode
except ImportError:  # Paho 1.6
    from paho.mqtt.reasoncodes import ReasonCodes as ReasonCode

PROTOCOLS = {3: mqtt.MQTTv31, 4: mqtt.MQTTv311, 5: mqtt.MQTTv5}
# Paho writes from its network thread and from ours.
stdout_lock = threading.Lock()


def tell(event, **fields):
    with stdout_lock:
        sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
        sys.stdout.flush()


def number(code):
    """A reason code as a number, in whichever form this version of Paho gives it."""
    return getattr(code, "value", code)


def to_properties(packet_type, values):
    if values is None:
        return None
    properties = Properties(packet_type)
    for name, value in values.items():
        if name == "UserProperty":
            value = [tuple(pair) for pair in value]
        elif name in ("CorrelationData", "AuthenticationData"):
            value = base64.b64decode(value)
        setattr(properties, name, value)
    return properties


def from_properties(properties):
    if properties is None:
        return {}
    values = {}
    for name in properties.names.keys():
        name = name.replace(" ", "")
        if hasattr(properties, name):
            value = getattr(properties, name)
            values[name] = base64.b64encode(value).decode() if isinstance(value, bytes) else value
    return values


class Driver:
    def __init__(self):
        self.client = None
        self.version = 4

    def connect(self, port, version=4, clientId="", persistent=False, expiry=None, keepalive=60, will=None,
                properties=None, websocket=False):
        self.version = version
        options = {"client_id": clientId, "protocol": PROTOCOLS[version]}
        if version < 5:
            options["clean_session"] = not persistent
        if websocket:
            options["transport"] = "websockets"
        if hasattr(mqtt, "CallbackAPIVersion"):
            client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, **options)
            client.on_connect = lambda c, u, flags, code, p: self.connected(flags.session_present, code, p)
            client.on_disconnect = lambda c, u, flags, code, p: tell("disconnected", code=number(code))
            client.on_publish = lambda c, u, mid, code, p: tell("published", mid=mid, code=number(code))
            client.on_subscribe = lambda c, u, mid, codes, p: self.answered("subscribed", mid, codes)
            client.on_unsubscribe = lambda c, u, mid, codes, p: self.answered("unsubscribed", mid, codes)
        else:
            client = mqtt.Client(**options)
            client.on_connect = lambda c, u, flags, code, p=None: self.connected(bool(flags["session present"]), code, p)
            client.on_disconnect = lambda c, u, code, p=None: tell("disconnected", code=number(code))
            client.on_publish = lambda c, u, mid: tell("published", mid=mid, code=0)
            client.on_subscribe = lambda c, u, mid, codes, p=None: self.answered("subscribed", mid, codes)
            client.on_unsubscribe = lambda c, u, mid, p=None, codes=(): self.answered("unsubscribed", mid, codes)
        client.on_message = lambda c, u, message: self.message(message)
        if websocket:
            client.ws_set_options(path="/mqtt")
        if will is not None:
            extra = {"properties": to_properties(PacketTypes.WILLMESSAGE, will.get("properties"))} if version == 5 else {}
            client.will_set(will["topic"], will["payload"], will.get("qos", 0), will.get("retain", False), **extra)
        arguments = {"keepalive": keepalive}
        if version == 5:
            values = dict(properties or {})
            if expiry is not None:
                values["SessionExpiryInterval"] = expiry
            arguments["clean_start"] = not persistent
            arguments["properties"] = to_properties(PacketTypes.CONNECT, values)
        self.client = client
        client.connect("127.0.0.1", port, **arguments)
        client.loop_start()

    def connected(self, session_present, code, properties):
        tell("connected", sessionPresent=session_present, code=number(code), properties=from_properties(properties))

    def answered(self, event, mid, codes):
        tell(event, mid=mid, codes=[number(code) for code in (codes if isinstance(codes, (list, tuple)) else [codes])])

    def message(self, message):
        tell(
            "message",
            topic=message.topic,
            payload=base64.b64encode(message.payload).decode(),
            qos=message.qos,
            retain=bool(message.retain),
            dup=bool(message.dup),
            properties=from_properties(getattr(message, "properties", None)),
        )

    def subscribe(self, filters, properties=None):
        if self.version == 5:
            chosen = [
                (f["topic"], SubscribeOptions(f.get("qos", 0), f.get("noLocal", False),
                                              f.get("retainAsPublished", False), f.get("retainHandling", 0)))
                for f in filters
            ]
            self.client.subscribe(chosen, properties=to_properties(PacketTypes.SUBSCRIBE, properties))
        else:
            self.client.subscribe([(f["topic"], f.get("qos", 0)) for f in filters])

    def unsubscribe(self, filters):
        self.client.unsubscribe(filters)

    def publish(self, topic, payload, qos=0, retain=False, properties=None):
        extra = {"properties": to_properties(PacketTypes.PUBLISH, properties)} if self.version == 5 else {}
        self.client.publish(topic, base64.b64decode(payload), qos, retain, **extra)

    def disconnect(self, properties=None, reason=None):
        if self.version == 5 and (properties is not None or reason is not None):
            code = ReasonCode(PacketTypes.DISCONNECT, identifier=reason or 0)
            self.client.disconnect(code, to_properties(PacketTypes.DISCONNECT, properties))
        else:
            self.client.disconnect()

    def reset(self):
        """The line breaks without DISCONNECT: the socket is reset, and the process ends."""
        sock = self.client.socket()
        raw = getattr(sock, "_socket", sock)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
        sys.exit(0)


def main():
    driver = Driver()
    api = 2 if hasattr(mqtt, "CallbackAPIVersion") else 1
    tell("ready", version=paho.mqtt.__version__, api=api)
    for line in sys.stdin:
        command = json.loads(line)
        verb = getattr(driver, command.pop("do"))
        unknown = set(command) - set(inspect.signature(verb).parameters)
        if unknown:
            raise TypeError(f"{verb.__name__} does not know {unknown}")
        verb(**command)


if __name__ == "__main__":
    main()
