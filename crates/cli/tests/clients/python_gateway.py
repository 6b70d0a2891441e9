"""etcd3gw, which speaks JSON over HTTP/1.1, against the endpoint in the first argument."""

import base64
import sys

import etcd3gw

host, port = sys.argv[1].rsplit(":", 1)
client = etcd3gw.client(host=host, port=int(port))
assert client.status()["version"], "it says what it is"
assert len(client.members()) == 1

client.put("fruit/1", "apple")
client.put("fruit/2", "pear")
assert client.get("fruit/1") == [b"apple"]
assert [value for value, _ in client.get_prefix("fruit/")] == [b"apple", b"pear"]
value, about = client.get("fruit/1", metadata=True)[0]
assert value == b"apple" and int(about["version"]) == 1
assert client.create("fruit/1", "plum") is False
assert client.create("fruit/3", "plum") is True
assert client.replace("fruit/3", "plum", "fig") is True
assert client.replace("fruit/3", "plum", "fig") is False


def encoded(text):
    return base64.b64encode(text.encode()).decode()


answer = client.transaction({
    "compare": [{
        "key": encoded("fruit/3"), "result": "EQUAL", "target": "VALUE", "value": encoded("fig"),
    }],
    "success": [{"request_put": {"key": encoded("fruit/3"), "value": encoded("date")}}],
    "failure": [{"request_range": {"key": encoded("fruit/3")}}],
})
assert answer["succeeded"] is True and client.get("fruit/3") == [b"date"]

events, cancel = client.watch_prefix("seen/")
client.put("seen/1", "a")
client.delete("seen/1")
first, second = next(events), next(events)
assert first["kv"]["key"] == b"seen/1", first
assert second["type"] == "DELETE", second
cancel()

lease = client.lease(ttl=60)
client.put("tied", "to it", lease=lease)
assert 0 < lease.ttl() <= 60 and lease.keys() == [b"tied"]
assert lease.refresh() > 0
assert lease.revoke() is True and client.get("tied") == []

with client.lock("turn", ttl=60) as lock:
    assert lock.is_acquired()
assert client.delete_prefix("fruit/") and client.get_prefix("fruit/") == []
print("ok")
