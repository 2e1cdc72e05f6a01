// ---- Runs --------------------------------------------------------------------------------------------

const runs = data.runs, single = runs.length === 1;
const colours = ["--c0", "--c1", "--c2", "--c3", "--c4", "--c5"], dashes = ["", "7 4", "2 3", "9 3 2 3"];

// The steps of an epoch; 0 if they are not known.
function perEpoch(run) {
  return run.history.epochs > 0 ? lastOf(run, "epoch_g_l1", "x") / run.history.epochs : run.epoch_steps || 0;
}

function lastOf(run, name, part) {
  const curve = run.history.curves[name];
  return curve ? curve[part][curve[part].length - 1] : NaN;
}

function epochOf(run, step) {
  return perEpoch(run) > 0 ? step / perEpoch(run) : NaN;
}

// The index of the bucket with x, or of the next one.
function indexAt(curve, x) {
  let low = 0, high = curve.x.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (curve.x[middle] < x) low = middle + 1; else high = middle;
  }
  return low;
}

// ---- Facts -------------------------------------------------------------------------------------------

function fact(name, value, more) {
  return element("div", {}, element("span", {class: "soft"}, name), element("b", {}, value),
                 element("span", {class: "soft"}, more || ""));
}

function duration(history) {
  const seconds = history.seconds;
  if (!(seconds >= 0)) return "not recorded";
  const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
  if (hours > 0) return hours + " h " + minutes + " min";
  return minutes > 0 ? minutes + " min " + Math.floor(seconds % 60) + " s" : number(seconds, 1) + " s";
}

// Whether the discriminator has won: the means over the last fifth of the epochs.
function discriminatorHasWon(run) {
  const real = run.history.curves.epoch_d_real, fake = run.history.curves.epoch_d_fake, g = run.history.curves.epoch_g_gan;
  if (!real || !fake || !g || run.history.epochs < 5) return false;
  const tail = c => { const part = c.mean.slice(-Math.ceil(c.mean.length / 5)); return part.reduce((a, b) => a + b, 0) / part.length; };
  const rejected = run.config && run.config.gan_mode === "lsgan" ? 0.8 : 2;
  return tail(real) < 0.05 && tail(fake) < 0.05 && tail(g) > rejected;
}

function verdicts(run) {
  const h = run.history, texts = [], last = lastOf(run, "val_l1", "mean");
  if (h.mean_target && isFinite(last)) {
    const share = 1 - last / h.mean_target;
    texts.push(share > 0 ? "The validation L1 is " + number(100 * share, 0) + " % below that of the mean target." :
      "The validation L1 is not below that of the mean target yet: nothing is learned about single pictures so far.");
  }
  if (h.best && h.best.epoch < h.epochs * 0.7 && h.epochs >= 10)
    texts.push("It was smallest after epoch " + count(h.best.epoch) + "; best/ has that model.");
  if (discriminatorHasWon(run)) texts.push("The discriminator has won: it recognises nearly every generated picture (see below).");
  return texts.join(" ");
}

function timeText(time) {
  return time.slice(0, 16).replace("T", " ") + " UTC";
}

// How far the training is. Its own page, in its folder, is written again while it goes on.
function progressOf(run) {
  const h = run.history, total = run.total_steps, own = single && run.samples === "samples";
  if (total && h.steps >= total) return "Finished: all " + count(total) + " steps are made.";
  const when = h.ended ? " at " + timeText(h.ended) : "";
  return "Step " + count(h.steps) + (total ? " of " + count(total) : "") + when + ". " +
    (own ? "While the training runs, this page is written again about every minute: reload it to see more." :
      "p2p report writes this page anew.");
}

function factsOf(run) {
  const h = run.history, box = element("div", {class: "facts"});
  const steps = count(h.steps) + (run.total_steps > h.steps ? " of " + count(run.total_steps) : "");
  box.append(fact("Steps", steps, h.epochs > 0 ? count(h.epochs) + " epochs" : "within the first epoch"));
  if (h.curves.val_l1)
    box.append(fact("Validation L1", number(lastOf(run, "val_l1", "mean")), h.mean_target ? "mean target " + number(h.mean_target) : ""));
  if (h.best) box.append(fact("Best epoch", count(h.best.epoch), "validation L1 " + number(h.best.l1)));
  if (h.curves.val_psnr) box.append(fact("PSNR", number(lastOf(run, "val_psnr", "mean"), 2) + " dB", ""));
  if (h.curves.val_ssim) box.append(fact("SSIM", number(lastOf(run, "val_ssim", "mean"), 3), ""));
  box.append(fact("Time", duration(h), h.ended ? "without interruptions, until " + timeText(h.ended) : ""));
  return box;
}

function showFacts() {
  const parts = [];
  runs.forEach((run, i) => {
    if (!single) parts.push(element("h3", {style: "color:var(" + colours[i % colours.length] + ")"}, run.name));
    parts.push(factsOf(run));
    const words = [single ? "" : progressOf(run), verdicts(run)].filter(text => text).join(" ");
    if (words) parts.push(element("p", {}, words));
  });
  place("facts", ...parts);
  if (single) place("state", shown(progressOf(runs[0])));
  if (single && runs[0].command) place("command", shown(runs[0].command));
}

// ---- Pictures ----------------------------------------------------------------------------------------

// The pictures of a run in the order of their steps: at the ends of epochs, and within one, where nothing is validated.
function picturesOf(run) {
  const list = run.sample_epochs.map(n => ({x: n, ends: true, name: "epoch " + count(n), file: "epoch-" + String(n).padStart(4, "0") + ".png"}));
  for (const n of run.sample_steps)
    list.push({x: epochOf(run, n) || 0, name: "step " + count(n), file: "step-" + String(n).padStart(6, "0") + ".png"});
  return list.sort((a, b) => a.x - b.x);
}

const albums = runs.map(picturesOf);
const stops = [...new Set(albums.flatMap(album => album.map(picture => picture.x)))].sort((a, b) => a - b);
const frames = runs.map(run => {
  const picture = element("img", {alt: ""}), caption = element("figcaption", {class: "soft"});
  return {picture, caption, figure: element("figure", {}, caption, element("div", {class: "scroll"}, picture))};
});

function nearest(album, x) {
  let found = album[0];
  for (const picture of album) if (picture.x <= x) found = picture;
  return found;
}

function valueAtEpoch(run, name, epoch) {
  const curve = run.history.curves[name];
  if (!curve) return NaN;
  return curve.mean[indexAt(curve, epoch * perEpoch(run) - 0.5)];
}

function showPicture(stop) {
  runs.forEach((run, i) => {
    const picture = albums[i].length > 0 ? nearest(albums[i], stops[stop]) : null;
    if (!picture) return;
    const l1 = picture.ends ? valueAtEpoch(run, "val_l1", picture.x) : NaN;
    const text = (single ? "" : run.name + ", ") + picture.name + (isFinite(l1) ? ", validation L1 " + number(l1) : "");
    frames[i].picture.src = run.samples + "/" + picture.file;
    frames[i].picture.alt = "Input, generated picture and target after " + picture.name;
    frames[i].caption.textContent = shown(text);
    if (i === 0) document.getElementById("slider").setAttribute("aria-valuetext", text);
  });
}

function startPictures() {
  const slider = document.getElementById("slider"), play = document.getElementById("play");
  if (stops.length === 0) {
    document.getElementById("pictures-part").hidden = true;
    return;
  }
  place("pictures", ...frames.map(frame => frame.figure));
  slider.max = stops.length - 1;
  slider.value = stops.length - 1;
  slider.addEventListener("input", () => showPicture(Number(slider.value)));
  let timer = 0;
  const stop = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; play.setAttribute("aria-pressed", "false"); };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(slider.value) === stops.length - 1) slider.value = 0;
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      showPicture(Number(slider.value));
      if (Number(slider.value) === stops.length - 1) stop();
    }, 250);
  });
  showPicture(stops.length - 1);
}

// ---- Charts ------------------------------------------------------------------------------------------

// Each series is an epoch's mean where there are enough epochs, and a step's value otherwise.
const panels = [
  {title: "GAN losses", unit: "", series: [["D real", "epoch_d_real", "d_real"], ["D fake", "epoch_d_fake", "d_fake"],
    ["G", "epoch_g_gan", "g_gan"]], marks: run => [[run.config && run.config.gan_mode === "lsgan" ? 0.25 : Math.LN2, "D guesses"]]},
  {title: "L1", unit: "", series: [["training", "epoch_g_l1", "g_l1"], ["validation", "val_l1", null]],
    marks: run => run.history.mean_target ? [[run.history.mean_target, "mean target"]] : []},
  {title: "PSNR of the validation", unit: " dB", series: [["PSNR", "val_psnr", null]]},
  {title: "SSIM of the validation", unit: "", series: [["SSIM", "val_ssim", null]]},
  {title: "Learning rate", unit: "", series: [["learning rate", null, "lr"]], zero: true},
  {title: "Images per second", unit: "", series: [["mean of at least " + runs[0].history.rate_seconds + " seconds each", null, "images_per_s"]], zero: true},
];

// What a panel draws: a line, and a band behind it, per series and run.
function linesOf(panel) {
  const lines = [];
  runs.forEach((run, r) => panel.series.forEach(([name, epochs, steps], s) => {
    const curves = run.history.curves, many = run.history.epochs >= 5;
    const line = (epochs && (many || !steps) && curves[epochs]) || (steps && curves[steps]);
    if (!line || line.x.length === 0) return;
    const band = steps && curves[steps] !== line ? curves[steps] : line;
    lines.push({run, name: single ? name : run.name + (panel.series.length > 1 ? ": " + name : ""), line,
                band: band && band.low ? band : steps && band !== line ? {x: band.x, low: band.mean, high: band.mean} : null,
                colour: "var(" + colours[(single ? s : r) % colours.length] + ")", dash: single ? "" : dashes[s % dashes.length]});
  }));
  return lines;
}

function rangeOf(panel, lines, xs, marks) {
  let low = panel.zero ? 0 : Infinity, high = -Infinity;
  for (const {run, line} of lines)
    line.x.forEach((x, i) => {
      if (xs.of(run, x) < xs.low) return;
      low = Math.min(low, line.mean[i]);
      high = Math.max(high, line.mean[i]);
    });
  for (const [value] of marks) { low = Math.min(low, value); high = Math.max(high, value); }
  if (!(low < high)) { low -= Math.abs(low) / 10 || 0.5; high = high > low ? high * 1.1 || 0.5 : low + 1; }
  const room = (high - low) * 0.06;
  return {low: low >= 0 && low - room < 0 ? 0 : low - room, high: high + room};
}

function horizontal() {
  const byEpoch = document.getElementById("axis").value === "epoch";
  const of = (run, step) => byEpoch ? epochOf(run, step) || 0 : step;
  const high = Math.max(1, ...runs.map(run => of(run, run.history.steps)));
  return {of, low: high * Number(document.getElementById("from").value), high, name: byEpoch ? "epoch" : "step"};
}

function path(line, key, xs, X, Y) {
  let text = "";
  line.line.x.forEach((x, i) => { text += (i ? "L" : "M") + X(xs.of(line.run, x)).toFixed(1) + " " + Y(line.line[key][i]).toFixed(1); });
  return text;
}

function bandPath(line, xs, X, Y) {
  const {x, low, high} = line.band;
  let upper = "", lower = "";
  x.forEach((at, i) => {
    const place = X(xs.of(line.run, at)).toFixed(1);
    upper += (i ? "L" : "M") + place + " " + Y(high[i]).toFixed(1);
    lower = "L" + place + " " + Y(low[i]).toFixed(1) + lower;
  });
  return upper + lower + "Z";
}

function axes(svg, box, xs, ys, X, Y, unit) {
  for (const y of ticks(ys.low, ys.high, 4))
    svg.append(drawn("line", {class: "grid", x1: box.left, x2: box.right, y1: Y(y), y2: Y(y)}),
               drawn("text", {x: box.left - 6, y: Y(y) + 4, "text-anchor": "end"}, number(y)));
  for (const x of ticks(xs.low, xs.high, Math.max(2, (box.right - box.left) / 90)))
    svg.append(drawn("text", {x: X(x), y: box.bottom + 16, "text-anchor": X(x) > box.right - 20 ? "end" : "middle"}, number(x)));
  svg.append(drawn("text", {x: box.left, y: 12}, unit.trim()),
             drawn("text", {x: box.right, y: box.bottom + 32, "text-anchor": "end"}, xs.name));
}

function curvesInto(svg, panel, lines, marks, box, xs, X, Y) {
  const clip = "clip" + panels.indexOf(panel);
  svg.append(drawn("clipPath", {id: clip}, drawn("rect", {x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top})));
  const inside = drawn("g", {"clip-path": "url(#" + clip + ")"});
  for (const line of lines)
    if (line.band) inside.append(drawn("path", {d: bandPath(line, xs, X, Y), fill: line.colour, "fill-opacity": 0.16,
                                                stroke: line.colour, "stroke-opacity": 0.16, "stroke-width": 0.7}));
  const beside = value => Y(value) - 5 < box.top + 10 ? 14 : -5; // not where it would be cut
  for (const [value, name] of marks)
    inside.append(drawn("line", {class: "mark", x1: box.left, x2: box.right, y1: Y(value), y2: Y(value)}),
                  drawn("text", {x: box.right - 4, y: Y(value) + beside(value), "text-anchor": "end"}, name));
  for (const line of lines) {
    const look = {d: path(line, "mean", xs, X, Y), fill: "none", stroke: line.colour, "stroke-width": 2, "stroke-linejoin": "round", "stroke-dasharray": line.dash || "none"};
    inside.append(drawn("path", look));
    if (line.line.x.length === 1)
      inside.append(drawn("circle", {cx: X(xs.of(line.run, line.line.x[0])), cy: Y(line.line.mean[0]), r: 4, fill: line.colour}));
  }
  svg.append(inside);
}

function marksOf(panel) {
  const all = panel.marks ? runs.flatMap(panel.marks) : [];
  return all.filter(([value, name], i) => all.findIndex(other => other[0] === value && other[1] === name) === i);
}

// The values at a place, for a pointer or the arrow keys.
function readout(panel, lines, xs, x) {
  const parts = lines.map(({run, name, line}) => {
    let best = 0;
    line.x.forEach((at, i) => { if (Math.abs(xs.of(run, at) - x) < Math.abs(xs.of(run, line.x[best]) - x)) best = i; });
    return name + " " + number(line.mean[best]) + panel.unit;
  });
  return xs.name + " " + count(Math.round(x)) + ": " + parts.join(", ");
}

function listen(svg, panel, lines, box, xs, X, text) {
  const cursor = drawn("line", {class: "cursor", y1: box.top, y2: box.bottom, visibility: "hidden"});
  let at = xs.high;
  svg.append(cursor);
  const show = x => {
    at = Math.min(xs.high, Math.max(xs.low, x));
    cursor.setAttribute("x1", X(at));
    cursor.setAttribute("x2", X(at));
    cursor.setAttribute("visibility", "visible");
    text.textContent = shown(readout(panel, lines, xs, at));
  };
  const pointed = event => {
    const place = event.clientX - svg.getBoundingClientRect().left;
    show(xs.low + (place - box.left) / (box.right - box.left) * (xs.high - xs.low));
  };
  svg.onpointermove = pointed;
  svg.onpointerdown = pointed;
  svg.onfocus = () => show(at);
  svg.onkeydown = event => {
    const small = Math.max((xs.high - xs.low) / 100, 1), step = event.shiftKey ? small * 10 : small;
    const to = {ArrowLeft: at - step, ArrowRight: at + step, Home: xs.low, End: xs.high}[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(to);
  };
}

function drawPanel(panel, lines) {
  const svg = panel.svg, width = svg.clientWidth || 480, height = svg.clientHeight || 240;
  const box = {left: 52, right: width - 8, top: 18, bottom: height - 38}, xs = horizontal(), marks = marksOf(panel);
  const ys = rangeOf(panel, lines, xs, marks);
  const X = x => box.left + (x - xs.low) / (xs.high - xs.low || 1) * (box.right - box.left);
  const Y = y => box.bottom - (y - ys.low) / (ys.high - ys.low) * (box.bottom - box.top);
  svg.setAttribute("viewBox", "0 0 " + width + " " + height);
  svg.replaceChildren();
  axes(svg, box, xs, ys, X, Y, panel.unit);
  curvesInto(svg, panel, lines, marks, box, xs, X, Y);
  listen(svg, panel, lines, box, xs, X, panel.text);
}

function legend(lines) {
  const box = element("div", {class: "legend"});
  for (const line of lines)
    box.append(element("span", {}, element("i", {style: "border-color:" + line.colour + (line.dash ? ";border-top-style:" + (line.dash === dashes[1] ? "dashed" : "dotted") : "")}), line.name));
  return box;
}

function startCharts() {
  const drawnPanels = [];
  for (const panel of panels) {
    const lines = linesOf(panel);
    if (lines.length === 0) continue;
    panel.svg = drawn("svg", {role: "img", tabindex: 0, "aria-label": panel.title + ": " + lines.map(line => line.name).join(", ")});
    panel.text = element("div", {class: "readout", "aria-live": "polite"});
    document.getElementById("charts").append(
      element("figure", {class: "chart"}, element("h3", {}, panel.title), legend(lines), panel.svg, panel.text));
    drawnPanels.push(() => drawPanel(panel, lines));
  }
  const all = () => drawnPanels.forEach(draw => draw());
  let asked = 0;
  const later = () => { cancelAnimationFrame(asked); asked = requestAnimationFrame(all); };
  document.getElementById("axis").addEventListener("change", all);
  document.getElementById("from").addEventListener("change", all);
  if (!single && runs.every(run => run.history.epochs > 0)) document.getElementById("axis").value = "epoch";
  addEventListener("resize", later);
  all();
}

// ---- Settings ----------------------------------------------------------------------------------------

const apart = new Set(["origin", "run", "checksum"]);

function valueOf(value) {
  return value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
}

// A row per name; several runs: those first in which they differ.
function tableOf(names, of) {
  const body = element("tbody", {});
  const differs = name => runs.some(run => valueOf(of(run)[name] ?? null) !== valueOf(of(runs[0])[name] ?? null));
  for (const name of [...names].sort((a, b) => differs(b) - differs(a))) {
    const row = element("tr", {}, element("th", {scope: "row"}, name.replace(/_/g, " ")));
    for (const run of runs) row.append(element("td", {}, valueOf(of(run)[name] ?? null)));
    body.append(row);
  }
  const head = element("tr", {}, element("th", {scope: "col"}, ""), ...runs.map(run => element("th", {scope: "col"}, single ? "" : run.name)));
  return element("div", {class: "scroll"}, element("table", {}, element("thead", {}, head), body));
}

function namesOf(of) {
  return [...new Set(runs.flatMap(run => Object.keys(of(run))))].filter(name => !apart.has(name));
}

function showSettings() {
  const origin = run => (run.config && run.config.origin) || {}, settings = run => run.config || {}, parts = [];
  for (const run of runs)
    if (run.command)
      parts.push(element("p", {class: "soft"}, (single ? "" : run.name + ": ") + "the command that begins such a training, without the options of the device"),
                 element("pre", {}, run.command));
  parts.push(element("h3", {}, "Device, versions and pairs"), tableOf(namesOf(origin), origin));
  parts.push(element("details", {open: ""}, element("summary", {}, "All settings"), tableOf(namesOf(settings), settings)));
  place("settings", ...parts);
}

showFacts();
startPictures();
startCharts();
showSettings();
