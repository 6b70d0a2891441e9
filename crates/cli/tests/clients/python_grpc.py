"""aetcd, which speaks gRPC, against the endpoint in the first argument."""

import asyncio
import sys

import aetcd


async def main():
    host, port = sys.argv[1].rsplit(":", 1)
    async with aetcd.Client(host=host, port=int(port)) as client:
        assert (await client.status()).leader is not None
        assert len([member async for member in client.members()]) == 1
        await keys(client)
        await watches(client)
        await leases(client)
        async with client.lock(b"turn", ttl=60) as lock:
            assert await lock.is_acquired()
    print("ok")


async def keys(client):
    await client.put(b"fruit/1", b"apple")
    put = await client.put(b"fruit/1", b"apricot", prev_kv=True)
    assert put.prev_kv.value == b"apple"
    assert (await client.get(b"fruit/1")).value == b"apricot"
    assert await client.get(b"nothing") is None
    await client.put(b"fruit/2", b"pear")
    found = await client.get_prefix(b"fruit/", sort_order="descend")
    assert [result.value for result in found] == [b"pear", b"apricot"]
    assert await client.replace(b"fruit/2", b"pear", b"plum") is True
    assert await client.replace(b"fruit/2", b"pear", b"fig") is False
    ok, answers = await client.transaction(
        compare=[client.transactions.value(b"fruit/2") == b"plum"],
        success=[client.transactions.put(b"fruit/2", b"fig"),
                 client.transactions.get(b"fruit/2")],
        failure=[client.transactions.delete(b"fruit/2")],
    )
    assert ok and len(answers) == 2
    revision = (await client.get(b"fruit/2")).mod_revision
    await client.compact(revision)
    assert (await client.delete_prefix(b"fruit/")).deleted == 2
    assert await client.get(b"fruit/1") is None


async def watches(client):
    watch = await client.watch_prefix(b"seen/")
    await client.put(b"seen/1", b"a")
    await client.delete(b"seen/1")
    kinds = []
    async for event in watch:
        kinds.append(event.kind)
        if len(kinds) == 2:
            break
    assert [str(kind).lower() for kind in kinds] == ["put", "delete"], kinds
    await watch.cancel()


async def leases(client):
    lease = await client.lease(60)
    await client.put(b"tied", b"to it", lease=lease)
    assert 0 < await lease.remaining_ttl() <= 60
    assert [key async for key in aiter_keys(lease)] == [b"tied"]
    await lease.refresh()
    await lease.revoke()
    assert await client.get(b"tied") is None


async def aiter_keys(lease):
    for key in await lease.keys():
        yield key


asyncio.run(main())
