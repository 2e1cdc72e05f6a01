"use strict";
// Shared by all pages: the data, and elements made from it. Texts become text nodes, never markup.
const data = JSON.parse(document.getElementById("data").textContent);

// Characters that are not shown, or that change the order of others, as their code points.
function shown(text) {
  return String(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, c => "\\u{" + c.codePointAt(0).toString(16) + "}");
}

// element("p", {class: "soft"}, "text", child...)
function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  for (const child of children) made.append(child instanceof Node ? child : shown(child));
  return made;
}

function drawn(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  for (const child of children) made.append(child instanceof Node ? child : shown(child));
  return made;
}

function place(id, ...children) {
  document.getElementById(id).replaceChildren(...children);
}

function number(value, digits) {
  if (value === null || value === undefined || !isFinite(value)) return "none";
  const size = Math.abs(value);
  if (digits !== undefined) return value.toFixed(digits);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2);
  return Number(value.toPrecision(4)).toLocaleString("en", {maximumSignificantDigits: 4});
}

function count(value) {
  return Number(value).toLocaleString("en");
}

place("title", document.title);

// Round numbers between two values, some five of them.
function ticks(low, high, most) {
  const rough = (high - low) / (most || 5), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(f => f * power).find(s => s >= rough) || rough, found = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) found.push(Math.abs(v) < step / 1e6 ? 0 : v);
  return found;
}
