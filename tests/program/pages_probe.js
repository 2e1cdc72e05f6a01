// Appended to a copy of a page by test_pages.sh: uses the page as a person does, and puts what it finds into the element
// "probe", which --dump-dom prints. A finding begins with "FAILED".
addEventListener("load", () => setTimeout(async () => {
  const found = [], wait = ms => new Promise(done => setTimeout(done, ms));
  const check = (holds, what) => { if (!holds) found.push("FAILED: " + what); };
  const all = selector => [...document.querySelectorAll(selector)];
  const press = (target, key) => target.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));

  check(document.documentElement.scrollWidth <= innerWidth, "the page is " + document.documentElement.scrollWidth + " wide, the window " + innerWidth);
  const dark = matchMedia("(prefers-color-scheme: dark)").matches, ground = getComputedStyle(document.body).backgroundColor;
  check((ground === "rgb(20, 23, 27)") === dark, "the ground is " + ground + (dark ? " in the dark" : " in the light"));
  check(all("main *").every(e => !/NaN|undefined|null|Infinity/.test([...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data).join(""))),
        "a text has a number that is none");
  check(all("path").every(p => !/NaN|Infinity/.test(p.getAttribute("d"))), "a curve has a number that is none");
  check(all("img").length > 0, "there are no pictures");
  const loaded = () => all("img").filter(i => i.getBoundingClientRect().top < innerHeight);
  await wait(200);
  check(loaded().every(i => i.naturalWidth > 0), "a picture is not loaded");

  const slider = document.getElementById("slider");
  if (slider) {
    check(all("#charts svg").length >= 4, "curves are missing");
    check(all("#charts svg").every(s => s.querySelectorAll("path").length > 0), "a chart has no curve");
    const picture = document.querySelector("#pictures img"), before = picture.src;
    slider.value = 0;
    slider.dispatchEvent(new Event("input"));
    check(Number(slider.max) === 0 || picture.src !== before, "the slider shows the same picture");
    await wait(200);
    check(picture.naturalWidth > 0, "the slider's picture is not loaded");
    const svg = document.querySelector("#charts svg");
    svg.focus();
    press(svg, "Home");
    const first = svg.parentNode.querySelector(".readout").textContent;
    press(svg, "End");
    check(first !== "" && svg.parentNode.querySelector(".readout").textContent !== first, "arrow keys read no values");
    const axis = document.getElementById("axis");
    axis.value = "epoch";
    axis.dispatchEvent(new Event("change"));
    check(all("#charts svg text").some(t => t.textContent === "epoch"), "the axis does not change");
    found.push("curves " + all("#charts path").length);
  }
  const loupe = document.getElementById("loupe");
  if (loupe) {
    const numbers = all(".card .soft").map(s => Number(s.textContent.match(/L1 ([0-9.]+)/)[1]));
    check(numbers.every((n, i) => i === 0 || n <= numbers[i - 1]), "the worst is not the first: " + numbers);
    const middle = (numbers[(numbers.length - 1) >> 1] + numbers[numbers.length >> 1]) / 2;
    const shown = Number(document.querySelector("figcaption.readout").textContent.match(/median, ([0-9.]+)/)[1]);
    check(Math.abs(shown - middle) < 2e-4, "the median is " + shown + ", not " + middle);
    document.querySelector(".card").click();
    await wait(100);
    check(loupe.open, "the loupe does not open");
    const panes = all(".pane"), places = () => panes.map(p => p.style.backgroundPosition);
    const before = places()[0];
    press(document.getElementById("panes"), "ArrowLeft");
    check(places()[0] !== before, "arrow keys move nothing");
    const names = panes.map(p => p.parentNode.textContent).join();
    check(names === "input,generated,target,difference", "the panes are: " + names);
    check(new Set(places()).size === 1, "the panes show different places: " + places());
    const picture = new Image();
    picture.src = panes[0].style.backgroundImage.slice(5, -2);
    await wait(200);
    check(picture.src.includes("/input/") && picture.naturalWidth > 0, "the input is not shown: " + picture.src);
    check(panes.every(p => p.getBoundingClientRect().width > 100), "the panes are small");
    document.getElementById("after").click();
    check(document.getElementById("loupe-name").textContent === all(".card b")[1].textContent, "the next pair is not shown");
    document.getElementById("close").click();
    const filter = document.getElementById("filter");
    filter.value = "no such name";
    filter.dispatchEvent(new Event("input"));
    check(all(".card").length === 0, "the filter finds what is not there");
    found.push("pairs " + numbers.length);
  }
  document.body.append(element("pre", {id: "probe"}, "PROBED " + found.join("; ")));
}, 100));
