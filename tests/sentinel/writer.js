// Writes through ioredis's Sentinel client until standard input ends: a line "ok NUMBER" for every acknowledged SET.
// Arguments: the primary's name, then the Sentinels' ports.
"use strict";
const Redis = require("ioredis");

const [name, ...ports] = process.argv.slice(2);
const client = new Redis({
  sentinels: ports.map((port) => ({ host: "127.0.0.1", port: Number(port) })),
  name,
  maxRetriesPerRequest: 0,
  retryStrategy: () => 50,
  sentinelRetryStrategy: () => 50,
});
client.on("error", () => {});

let going = true;
process.stdin.on("end", () => { going = false; });
process.stdin.resume();

async function write() {
  for (let number = 0; going; number += 1) {
    try {
      await client.set(`node:${number}`, number);
      process.stdout.write(`ok ${number}\n`);
    } catch (error) {
      process.stdout.write(`failed ${number} ${error.message}\n`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  client.disconnect();
}

write();
