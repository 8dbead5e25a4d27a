// Looks at a page in headless Chromium, at each width, light and dark, with puppeteer-core and axe-core of EDGE_FOREIGN_CLIENTS. Prints a line of
// JSON for each: what the console said, what it asked other places for, how far the page is wider than the window, and what axe-core finds.
const kit = `${process.env.EDGE_FOREIGN_CLIENTS}/node_modules`;
const puppeteer = require(`${kit}/puppeteer-core`);

const [url, program] = process.argv.slice(2);
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
// Above the 5 s after which the page asks again.
const REFRESHED_MS = 7000;

async function look(browser, width, scheme) {
  const page = await browser.newPage();
  const said = [];
  const elsewhere = [];
  page.on("request", (request) => new URL(request.url()).origin === new URL(url).origin || elsewhere.push(request.url()));
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(error.message));
  page.on("requestfailed", (request) => said.push(`${request.url()}: ${request.failure().errorText}`));
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.goto(url);
  await new Promise((done) => setTimeout(done, REFRESHED_MS));
  const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  const verdict = await page.evaluate(() => document.querySelector("[role=status]").textContent);
  const ownConsole = said.splice(0);
  // Through the protocol, to which the page's policy for scripts does not apply.
  await page.evaluate(require("node:fs").readFileSync(`${kit}/axe-core/axe.min.js`, "utf8"));
  const found = await page.evaluate((values) => axe.run({ runOnly: { type: "tag", values } }), TAGS);
  await page.close();
  const findings = found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
  return { width, scheme, background, beyond, verdict, console: ownConsole, elsewhere, findings, rules: found.passes.length };
}

(async () => {
  const browser = await puppeteer.launch({ executablePath: program, args: ["--no-sandbox", "--disable-gpu"] });
  try {
    const views = [320, 1280].flatMap((width) => ["light", "dark"].map((scheme) => look(browser, width, scheme)));
    for (const seen of await Promise.all(views)) console.log(JSON.stringify(seen));
  } finally {
    await browser.close();
  }
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
