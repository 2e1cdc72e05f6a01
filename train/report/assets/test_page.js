// ---- Summary -----------------------------------------------------------------------------------------

const pairs = data.pairs, metrics = [
  {key: "l1", name: "L1", digits: 4, worst: pair => -value(pair.l1, -Infinity)},
  {key: "psnr", name: "PSNR", digits: 2, unit: " dB", worst: pair => value(pair.psnr, Infinity)},
  {key: "ssim", name: "SSIM", digits: 3, worst: pair => value(pair.ssim, Infinity)},
];

// PSNR is null for equal pictures, SSIM for very small ones: neither is among the worst.
function value(v, otherwise) {
  return v === null ? otherwise : v;
}

function fact(name, text, more) {
  return element("div", {}, element("span", {class: "soft"}, name), element("b", {}, text), element("span", {class: "soft"}, more || ""));
}

function showSummary() {
  const s = data.summary, box = element("div", {class: "facts"});
  box.append(fact("Pairs", count(pairs.length), s.split + " of " + s.data));
  for (const m of metrics) box.append(fact("Mean " + m.name, s.mean[m.key] === null ? "none" : number(s.mean[m.key], m.digits) + (m.unit || "")));
  box.append(fact("Epoch", s.epoch > 0 ? count(s.epoch) : "not recorded", s.step > 0 ? count(s.step) + " steps" : ""));
  place("facts", box);
  place("state", shown(s.model + ", " + s.direction + ", " + s.size + " x " + s.size + " pixels, statistics: " + s.norm_stats + ", dropout " + s.test_dropout));
}

// ---- Distributions -----------------------------------------------------------------------------------

function histogram(metric) {
  const values = pairs.map(pair => pair[metric.key]).filter(v => v !== null);
  if (values.length === 0) return null;
  const low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b));
  const bins = Math.max(1, Math.min(30, Math.ceil(2 * Math.cbrt(values.length)))), width = (high - low) / bins || 1;
  const counts = new Array(bins).fill(0);
  for (const v of values) counts[Math.min(bins - 1, Math.floor((v - low) / width))]++;
  values.sort((a, b) => a - b);
  return {low, high: low + width * bins, width, counts, median: (values[(values.length - 1) >> 1] + values[values.length >> 1]) / 2, most: Math.max(...counts)};
}

function drawHistogram(metric) {
  const h = histogram(metric), svg = drawn("svg", {viewBox: "0 0 400 160", role: "img"});
  if (!h) return null;
  const X = v => 10 + (v - h.low) / (h.high - h.low) * 380, Y = n => 130 - n / h.most * 115;
  h.counts.forEach((n, i) => {
    const from = h.low + i * h.width, bar = drawn("rect", {x: X(from) + 0.5, width: Math.max(1, X(from + h.width) - X(from) - 1), y: Y(n), height: 130 - Y(n), fill: "var(--c0)"});
    bar.append(drawn("title", {}, number(from) + " to " + number(from + h.width) + ": " + count(n) + " pairs"));
    svg.append(bar);
  });
  svg.append(drawn("line", {class: "mark", x1: X(h.median), x2: X(h.median), y1: 10, y2: 130}));
  for (const v of ticks(h.low, h.high, 4)) svg.append(drawn("text", {x: X(v), y: 150, "text-anchor": "middle"}, number(v)));
  svg.setAttribute("aria-label", metric.name + " from " + number(h.low) + " to " + number(h.high) + ", median " + number(h.median));
  return element("figure", {class: "chart"}, element("h3", {}, metric.name), svg,
                 element("figcaption", {class: "readout"}, "Dashed: the median, " + number(h.median) + (metric.unit || "")));
}

// ---- The list ----------------------------------------------------------------------------------------

const step = 24;
let listed = [], visible = step;

function order() {
  const by = document.getElementById("order").value, words = document.getElementById("filter").value.toLowerCase();
  const metric = metrics.find(m => m.key === by);
  listed = pairs.filter(pair => pair.name.toLowerCase().includes(words));
  if (metric) listed.sort((a, b) => metric.worst(a) - metric.worst(b) || (a.name < b.name ? -1 : 1));
  if (by === "best") listed.sort((a, b) => a.l1 - b.l1 || (a.name < b.name ? -1 : 1));
}

function numbersOf(pair) {
  return metrics.map(m => m.name + " " + (pair[m.key] === null ? "none" : number(pair[m.key], m.digits) + (m.unit || ""))).join(", ");
}

function card(pair, index) {
  const picture = (folder, what) => element("img", {src: folder + "/" + pair.file, alt: what, loading: "lazy", width: data.summary.size, height: data.summary.size});
  const made = element("button", {type: "button", class: "card"},
    element("span", {class: "triple"}, picture("input", "input"), picture("generated", "generated picture"), picture("target", "target")),
    element("b", {}, pair.name), element("span", {class: "soft"}, numbersOf(pair)));
  made.addEventListener("click", () => openLoupe(index));
  return made;
}

function showList() {
  place("list", ...listed.slice(0, visible).map(card));
  document.getElementById("more").hidden = visible >= listed.length;
  place("found", shown(count(listed.length) + " pairs; in each the input, the generated picture, then the target"));
}

function startList() {
  const again = () => { order(); visible = step; showList(); };
  document.getElementById("order").addEventListener("change", again);
  document.getElementById("filter").addEventListener("input", again);
  document.getElementById("more").addEventListener("click", () => { visible += step; showList(); });
  again();
}

// ---- The loupe ---------------------------------------------------------------------------------------

const loupe = document.getElementById("loupe"), panes = document.getElementById("panes"), zoom = document.getElementById("zoom");
let current = 0, x = 0.5, y = 0.5;

// Each pane shows the same part: its middle is the place (x, y) of the picture, 0 to 1.
function look() {
  const scale = Number(zoom.value), at = v => scale === 1 ? 50 : Math.min(100, Math.max(0, (v - 0.5 / scale) / (1 - 1 / scale) * 100));
  for (const pane of panes.querySelectorAll(".pane")) {
    pane.style.backgroundSize = scale * 100 + "%";
    pane.style.backgroundPosition = at(x) + "% " + at(y) + "%";
  }
  place("zoom-text", shown(scale + " times"));
}

function showLoupe() {
  const pair = listed[current], url = folder => "url(\"" + folder + "/" + pair.file + "\")";
  const images = {"input": url("input"), "generated": url("generated"), "target": url("target"), "difference": url("generated") + "," + url("target")};
  panes.replaceChildren(...Object.entries(images).map(([name, image]) => {
    const pane = element("div", {class: "pane" + (name === "difference" ? " difference" : "")});
    pane.style.backgroundImage = image;
    return element("figure", {}, element("figcaption", {class: "soft"}, name), pane);
  }));
  place("loupe-name", shown(pair.name));
  place("loupe-numbers", shown(numbersOf(pair)));
  document.getElementById("before").disabled = current === 0;
  document.getElementById("after").disabled = current === listed.length - 1;
  look();
}

function openLoupe(index) {
  current = index;
  x = y = 0.5;
  showLoupe();
  loupe.showModal();
  panes.focus();
}

function move(by) {
  current = Math.min(listed.length - 1, Math.max(0, current + by));
  showLoupe();
}

function startLoupe() {
  const limit = v => Math.min(1, Math.max(0, v));
  const pointed = event => {
    const pane = event.target.closest(".pane");
    if (!pane) return;
    const box = pane.getBoundingClientRect();
    x = limit((event.clientX - box.left) / box.width);
    y = limit((event.clientY - box.top) / box.height);
    look();
  };
  panes.addEventListener("pointermove", pointed);
  panes.addEventListener("pointerdown", pointed);
  zoom.addEventListener("input", look);
  panes.addEventListener("keydown", event => {
    const by = 0.1 / Number(zoom.value), moves = {ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, -by], ArrowDown: [0, by]}[event.key];
    if (moves) { x = limit(x + moves[0]); y = limit(y + moves[1]); }
    else if (event.key === "+" || event.key === "=") zoom.value = Number(zoom.value) + 1;
    else if (event.key === "-") zoom.value = Number(zoom.value) - 1;
    else return;
    event.preventDefault();
    look();
  });
  document.getElementById("before").addEventListener("click", () => move(-1));
  document.getElementById("after").addEventListener("click", () => move(1));
  document.getElementById("close").addEventListener("click", () => loupe.close());
}

showSummary();
place("spread", ...metrics.map(drawHistogram).filter(made => made));
startList();
startLoupe();
