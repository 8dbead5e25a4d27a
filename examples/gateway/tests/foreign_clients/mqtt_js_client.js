// mqtt.js in Node, over TCP or WebSocket; its folder is below EDGE_FOREIGN_CLIENTS.
const readline = require("node:readline");
const mqtt = require(`${process.env.EDGE_FOREIGN_CLIENTS}/node_modules/mqtt`);
const { start } = require("./mqtt_js_steps.js");

const [version, transport, port, ...others] = process.argv.slice(2);
const url = transport === "ws" ? `ws://127.0.0.1:${port}/mqtt` : `mqtt://127.0.0.1:${port}`;
const say = (line) => (line === "ended" ? process.exit(0) : process.stdout.write(`${line}\n`));
const obey = start(mqtt, [version, url, ...others], say);
readline.createInterface({ input: process.stdin }).on("line", (line) => obey(line.split(" ")));
// The test is gone.
process.stdin.on("close", () => process.exit(1));
