// mqtt.js in Node, over TCP or WebSocket, with TLS or without; its folder is below EDGE_FOREIGN_CLIENTS.
const fs = require("node:fs");
const readline = require("node:readline");
const mqtt = require(`${process.env.EDGE_FOREIGN_CLIENTS}/node_modules/mqtt`);
const { start } = require("./mqtt_js_steps.js");

const [version, transport, port, ...others] = process.argv.slice(2);
const url = {
  tcp: `mqtt://127.0.0.1:${port}`,
  tls: `mqtts://localhost:${port}`,
  ws: `ws://127.0.0.1:${port}/mqtt`,
  wss: `wss://localhost:${port}/mqtt`,
}[transport];
const ca = fs.readFileSync(process.env.EDGE_AUTHORITY);
const say = (line) => (line === "ended" ? process.exit(0) : process.stdout.write(`${line}\n`));
const obey = start(mqtt, [version, url, ...others], say, { ca });
readline.createInterface({ input: process.stdin }).on("line", (line) => obey(line.split(" ")));
// The test is gone.
process.stdin.on("close", () => process.exit(1));
