// mqtt.js in a page of headless Chromium: serves the page with its bundle, passes it orders, and takes its events.
const { spawn } = require("node:child_process");
const { createServer } = require("node:http");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const readline = require("node:readline");

const [version, transport, port, identifier, clean, expiry, will] = process.argv.slice(2);
const pagePort = Number(process.env.EDGE_PAGE_PORT);
const bundle = `${process.env.EDGE_FOREIGN_CLIENTS}/node_modules/mqtt/dist/mqtt.min.js`;
const page = fs.readFileSync(path.join(__dirname, "mqtt_js_page.html"), "utf8");
const url = transport === "wss" ? `wss://localhost:${port}/mqtt` : `ws://127.0.0.1:${port}/mqtt`;
const files = {
  "/": ["text/html", page],
  "/mqtt.min.js": ["text/javascript", fs.readFileSync(bundle)],
  "/steps.js": ["text/javascript", fs.readFileSync(path.join(__dirname, "mqtt_js_steps.js"))],
  "/arguments": ["application/json", JSON.stringify([version, url, identifier, clean, expiry, will])],
};

// Orders that the page has not taken, and its request for them while there is none.
const orders = [];
let waiting = null;
function pass() {
  if (!waiting || orders.length === 0) return;
  waiting.end(JSON.stringify(orders.splice(0)));
  waiting = null;
}

// Below TMPDIR, which is removed with the test.
const profile = fs.mkdtempSync(path.join(os.tmpdir(), "edge-browser-"));
let browser;
function end(code) {
  browser.kill("SIGKILL");
  process.exit(code);
}

const server = createServer((request, response) => {
  if (request.url === "/orders") {
    waiting = response;
    pass();
  } else if (request.url === "/events") {
    let text = "";
    request.on("data", (part) => (text += part));
    request.on("end", () => {
      response.end();
      for (const line of JSON.parse(text)) {
        if (line === "ended") end(0);
        process.stdout.write(`${line}\n`);
      }
    });
  } else {
    const [type, body] = files[request.url] ?? [];
    response.writeHead(type ? 200 : 404, { "Content-Type": type ?? "text/plain" }).end(body);
  }
});
server.listen(pagePort, "127.0.0.1", () => {
  const at = `http://127.0.0.1:${server.address().port}/`;
  // It has no option for an authority of one's own: that certificates are checked is for the client in Node.
  const unchecked = transport === "wss" ? ["--ignore-certificate-errors"] : [];
  const options = [...unchecked, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", `--user-data-dir=${profile}`, at];
  browser = spawn("chromium", options, { stdio: "ignore" });
  browser.on("error", () => process.exit(127));
});
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  orders.push(line.split(" "));
  pass();
});
process.stdin.on("close", () => end(1));
