// etcd3 for Node.js, which speaks gRPC, against the endpoint in the last argument.

import assert from "node:assert";
import { createRequire } from "node:module";

// Its folder is named, since this file lies elsewhere.
const { Etcd3, EventType } = createRequire(`${process.argv[2]}/`)("etcd3");
const client = new Etcd3({ hosts: [`http://${process.argv[3]}`] });

await client.put("fruit/1").value("apple");
await client.put("fruit/2").value("pear");
assert.equal(await client.get("fruit/1").string(), "apple");
assert.equal(await client.get("nothing").string(), null);
assert.deepEqual(await client.getAll().prefix("fruit/").strings(), {
  "fruit/1": "apple",
  "fruit/2": "pear",
});
const swapped = await client
  .if("fruit/1", "Value", "==", "apple")
  .then(client.put("fruit/1").value("fig"), client.get("fruit/2"))
  .else(client.delete().key("fruit/1"))
  .commit();
assert.equal(swapped.succeeded, true);
assert.equal(await client.get("fruit/1").string(), "fig");

const watcher = await client.watch().prefix("seen/").create();
const seen = new Promise((resolve) => {
  const events = [];
  watcher.on("put", (kv) => events.push(["put", kv.key.toString()]));
  watcher.on("delete", (kv) => {
    events.push(["delete", kv.key.toString()]);
    resolve(events);
  });
});
await client.put("seen/1").value("a");
await client.delete().key("seen/1");
assert.deepEqual(await seen, [["put", "seen/1"], ["delete", "seen/1"]]);
await watcher.cancel();

const lease = client.lease(60);
await lease.put("tied").value("to it");
assert.equal(await client.get("tied").string(), "to it");
await lease.revoke();
assert.equal(await client.get("tied").string(), null);

const inTurn = await client.lock("turn").do(async () => "worked");
assert.equal(inTurn, "worked");

const election = client.election("cashier", 60);
const campaign = election.campaign("till-1");
await new Promise((resolve, reject) => {
  campaign.on("elected", resolve);
  campaign.on("error", reject);
});
assert.equal(await election.leader(), "till-1");
await campaign.resign();

assert.equal((await client.delete().prefix("fruit/")).deleted, "2");
client.close();
console.log("ok");
