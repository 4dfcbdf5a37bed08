// A program on node-eventstore-client as its user would write it, measured as bench/client.lua is.
//
//   node client.js URL read|table EVENTS
const { performance } = require("perf_hooks");
const fs = require("fs");
const path = require("path");
const folder = path.join(process.env.PUMP_BUILD, "peers", "node_modules");
const client = require(path.join(folder, "node-eventstore-client"));
const { v4: uuid } = require(path.join(folder, "uuid"));

const [url, what, count] = [process.argv[2], process.argv[3], Number(process.argv[4])];
const PAGE = 500;
const WARM_UP = 10000;
const TYPE = "PonyJumped";

function body() {
  return {
    pony: "Derpy Hooves", height: 10, distance: 123.25, airborne: true,
    place: "Ponyville, behind the post office",
    note: "Delivered the morning's letters, most of them to the right doors; the muffins came "
      + "through the flight without a scratch, as they must",
  };
}

// Type and number touched, page by page.
async function read(connection, n) {
  let seen = 0, touched = 0, from = 0;
  for (;;) {
    const page = await connection.readStreamEventsForward(`bench-${n}`, from, PAGE, true);
    for (const { event } of page.events) {
      touched += event.eventType.length + Number(event.eventNumber);
      seen++;
    }
    if (page.isEndOfStream) break;
    from = page.nextEventNumber;
  }
  if (seen !== n) throw new Error(`${seen} events, not ${n}`);
}

// Batches of 500, four on their way.
async function table(connection, n) {
  let made = 0;
  async function writer() {
    while (made < n) {
      const events = [];
      for (; events.length < PAGE && made < n; made++)
        events.push(client.createJsonEventData(uuid(), body(), null, TYPE));
      await connection.appendToStream("bench-write", client.expectedVersion.any, events);
    }
  }
  await Promise.all([writer(), writer(), writer(), writer()]);
}

async function main() {
  const settings = { defaultUserCredentials: new client.UserCredentials("admin", "changeit") };
  const connection = client.createConnection(settings, url, "bench");
  await connection.connect();
  await new Promise((resolve) => connection.once("connected", resolve));
  const run = { read, table }[what];
  await run(connection, Math.min(WARM_UP, count));
  const cpu = process.cpuUsage(), wall = performance.now();
  await run(connection, count);
  const used = process.cpuUsage(cpu), passed = performance.now() - wall;
  const rss = /VmRSS:\s*(\d+)/.exec(fs.readFileSync("/proc/self/status", "utf8"))[1];
  console.log(`events=${count} cpu=${(used.user + used.system) / 1e6} wall=${passed / 1e3} rss=${rss}`);
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
