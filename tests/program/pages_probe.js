// Appended to a copy of a page by test_pages.sh, which shows it in a frame of the width in the address: uses the page as a
// person does, and sends the frame's page what it finds. A finding begins with "FAILED". No check of colours by the eye, and
// none of what the texts mean, but for those that the script compares.
addEventListener("load", () => setTimeout(async () => {
  const found = [], wait = ms => new Promise(done => setTimeout(done, ms));
  const check = (holds, what) => { if (!holds) found.push("FAILED: " + what); };
  const all = selector => [...document.querySelectorAll(selector)], one = id => document.getElementById(id);
  const texts = selector => all(selector).map(e => e.textContent);
  const press = (target, key) => target.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
  const choose = (id, value) => { one(id).value = value; one(id).dispatchEvent(new Event(one(id).type === "search" ? "input" : "change")); };
  const sorted = list => list.every((v, i) => i === 0 || list[i - 1] <= v);

  const width = Number(location.hash.slice(1));
  check(innerWidth === width, "the frame is " + innerWidth + " wide, not " + width);
  check(document.documentElement.scrollWidth <= width, "the page is " + document.documentElement.scrollWidth + " wide in a frame of " + width);
  const dark = matchMedia("(prefers-color-scheme: dark)").matches, ground = getComputedStyle(document.body).backgroundColor;
  check((ground === "rgb(20, 23, 27)") === dark, "the ground is " + ground + (dark ? " in the dark" : " in the light"));
  found.push(dark ? "dark" : "light");
  check(all("main *").every(e => !/NaN|undefined|null|Infinity/.test([...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data).join(""))),
        "a text has a number that is none");
  check(all("path").every(p => !/NaN|Infinity/.test(p.getAttribute("d"))), "a curve has a number that is none");
  check(one("title").textContent !== "" && document.title === one("title").textContent, "the title is not the heading");
  check(all("img").length > 0, "there are no pictures");
  const loaded = () => all("img").filter(i => i.getBoundingClientRect().top < innerHeight);
  await wait(200);
  check(loaded().every(i => i.naturalWidth > 0), "a picture is not loaded");

  // ---- A training's page ------------------------------------------------------------------------------

  function checkCharts() {
    const validated = runs.some(run => run.history.curves.val_l1);
    const wanted = ["GAN losses", "L1", ...(validated ? ["PSNR of the validation", "SSIM of the validation"] : []), "Learning rate", "Images per second"];
    const titles = texts("#charts h3"), marks = all("#charts .mark").map(line => line.nextSibling.textContent);
    check(titles.join() === wanted.join(), "the charts are: " + titles);
    check(all("#charts svg").every(s => s.querySelectorAll("path").length > 0), "a chart has no curve");
    check(texts("#charts text").includes("D guesses") && marks.includes("D guesses"), "no line where D guesses: " + marks);
    check(!validated || marks.includes("mean target"), "no line of the mean target: " + marks);
    check(new Set(all("#charts .mark").map(line => line.getAttribute("y1"))).size > Number(validated), "the marked lines are one");
    check(all("#charts .mark").every(line => Number(line.nextSibling.getAttribute("y")) >= 28), "the text of a line is cut at the top");
    const points = all("#charts path").map(p => p.getAttribute("d").split("L").length);
    check(points.every(count => count <= 2 * 500), "the curves have as many points as: " + points);
    found.push("charts " + titles.length, "marks " + marks.join());
  }

  function checkKeys() {
    const svg = document.querySelector("#charts svg"), readout = () => svg.parentNode.querySelector(".readout").textContent;
    svg.focus();
    press(svg, "Home");
    const first = readout();
    press(svg, "End");
    check(first !== "" && readout() !== first, "arrow keys read no values");
    choose("axis", "epoch");
    check(texts("#charts svg text").includes("epoch"), "the axis does not change");
  }

  async function checkPictures() {
    const slider = one("slider"), play = one("play"), picture = document.querySelector("#pictures img"), before = picture.src;
    const last = Number(slider.max);
    slider.value = 0;
    slider.dispatchEvent(new Event("input"));
    check(last === 0 || picture.src !== before, "the slider shows the same picture");
    await wait(200);
    check(picture.naturalWidth > 0, "the slider's picture is not loaded");
    found.push("stops " + (last + 1));
    if (last === 0) return;
    play.click();
    check(play.textContent === "Pause" && play.getAttribute("aria-pressed") === "true", "nothing is played");
    await wait(250 * last + 500);
    check(Number(slider.value) === last && picture.src === before, "it was not played to the end: " + slider.value);
    check(play.textContent === "Play" && play.getAttribute("aria-pressed") === "false", "the end goes on");
  }

  function checkWords() {
    const words = texts("dl.words dt").join(), rows = texts("#settings th[scope=row]");
    check(texts("h2").includes("How to read the curves") && words.includes("Mean target") && words.includes("When D has won") && words.includes("PSNR"),
          "how to read the curves is missing: " + words);
    for (const name of ["device", "version", "training", "lr", "batch", "seed"])
      check(rows.includes(name), "the settings lack a row " + name);
    const valueOf = name => all("#settings tr").find(row => row.firstChild.textContent === name).children[1].textContent;
    check(valueOf("device") !== "" && /^[0-9]/.test(valueOf("version")) && valueOf("lr") === "0.0002", "the settings have no values");
    check(texts("#settings pre").every(text => text.startsWith("p2p train --data ")), "no command: " + texts("#settings pre"));
    for (const body of all("#settings tbody")) {
      const same = [...body.children].map(row => new Set([...row.children].slice(1).map(cell => cell.textContent)).size === 1);
      check(sorted(same), "a row that differs is below one that does not");
      if (!single) found.push("differ " + same.filter(s => !s).length);
    }
    found.push("words " + [one("state"), ...all("#facts p")].map(e => e.textContent).join(" | "));
  }

  if (one("charts")) {
    checkCharts();
    checkKeys();
    await checkPictures();
    checkWords();
  }

  // ---- The page of p2p test -----------------------------------------------------------------------------

  // The numbers of the cards that are shown: L1, PSNR, SSIM.
  const cards = () => texts(".card .soft").map(text => text.match(/L1 ([0-9.]+), PSNR ([0-9.]+) dB, SSIM (-?[0-9.]+)/).slice(1).map(Number));

  function checkSpread() {
    const figures = all("#spread figure");
    check(texts("#spread h3").join() === "L1,PSNR,SSIM", "the distributions are: " + texts("#spread h3"));
    figures.forEach((figure, i) => {
      const values = pairs.map(pair => pair[["l1", "psnr", "ssim"][i]]).sort((a, b) => a - b);
      const middle = (values[(values.length - 1) >> 1] + values[values.length >> 1]) / 2;
      const shown = Number(figure.querySelector("figcaption").textContent.match(/median, ([0-9.]+)/)[1]);
      check(Math.abs(shown - middle) <= Math.abs(middle) / 1000, "the median is " + shown + ", not " + middle);
      const bars = [...figure.querySelectorAll("rect")], counts = bars.map(bar => Number(bar.textContent.match(/: ([0-9]+) pairs/)[1]));
      check(counts.length > 2 && counts.reduce((a, b) => a + b) === pairs.length, "the bars count: " + counts);
      const heights = bars.map(bar => Number(bar.getAttribute("height"))), most = Math.max(...counts);
      check(heights.every((h, b) => Math.abs(h - 115 * counts[b] / most) < 1e-6), "the bars are not as high as their counts");
    });
  }

  function checkList() {
    check(all(".card").length === Math.min(24, pairs.length) && one("more").hidden === pairs.length <= 24, "not the first 24 pairs: " + all(".card").length);
    one("more").click();
    check(all(".card").length === pairs.length && one("more").hidden, "not all pairs: " + all(".card").length);
    const orders = {psnr: c => c[1], ssim: c => c[2], best: c => c[0], l1: c => -c[0]};
    for (const [order, key] of Object.entries(orders)) {
      choose("order", order);
      one("more").click();
      check(sorted(cards().map(key)), "not in the order " + order + ": " + cards().map(key));
    }
    choose("order", "name");
    check(texts(".card b").join() === pairs.map(pair => shown(pair.name)).slice(0, 24).join(), "not in the order of names");
    choose("filter", "no such name");
    check(all(".card").length === 0, "the filter finds what is not there");
    choose("filter", "");
    choose("order", "l1");
  }

  async function checkLoupe() {
    document.querySelector(".card").click();
    await wait(100);
    check(loupe.open, "the loupe does not open");
    const panes = all(".pane"), places = () => panes.map(p => p.style.backgroundPosition), sizes = () => panes.map(p => p.style.backgroundSize);
    const before = places()[0];
    press(one("panes"), "ArrowLeft");
    check(places()[0] !== before, "arrow keys move nothing");
    press(one("panes"), "+");
    check(sizes().every(s => s.startsWith("300%")), "plus does not enlarge: " + sizes());
    press(one("panes"), "-");
    press(one("panes"), "-");
    check(sizes().every(s => s.startsWith("100%")), "minus does not reduce: " + sizes());
    press(one("panes"), "=");
    const names = panes.map(p => p.parentNode.textContent).join();
    check(names === "input,generated,target,difference", "the panes are: " + names);
    check(new Set(places()).size === 1, "the panes show different places: " + places());
    const picture = new Image();
    picture.src = panes[0].style.backgroundImage.slice(5, -2);
    await wait(200);
    check(picture.src.includes("/input/") && picture.naturalWidth > 0, "the input is not shown: " + picture.src);
    check(panes.every(p => p.getBoundingClientRect().width > 100), "the panes are small");
    one("after").click();
    check(one("loupe-name").textContent === texts(".card b")[1], "the next pair is not shown");
    one("before").click();
    check(one("loupe-name").textContent === texts(".card b")[0], "the pair before is not shown");
    one("close").click();
    check(!loupe.open, "the loupe stays open");
  }

  if (one("loupe")) {
    check(sorted(cards().map(c => -c[0])), "the worst is not the first: " + cards());
    checkSpread();
    checkList();
    await checkLoupe();
    found.push("pairs " + pairs.length);
  }
  parent.postMessage("PROBED " + found.join("; "), "*");
}, 100));
