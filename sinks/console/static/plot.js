// Series as plots, in the page's own colours; drawn again when the scheme or the width changes.
(() => {
  "use strict";
  const colours = ["--main", "--good", "--warn", "--bad"];
  function draw(figure) {
    const { names, data } = JSON.parse(figure.dataset.series);
    const style = getComputedStyle(document.documentElement);
    const probe = document.createElement("i");
    figure.replaceChildren(probe);
    const colour = (name) => { probe.style.color = `var(${name})`; return getComputedStyle(probe).color; };
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: `12px ${style.fontFamily}` };
    const series = names.map((label, index) => ({ label, stroke: colour(colours[index % 4]), width: 2, points: { show: data[0].length < 40 } }));
    const size = { width: Math.max(240, figure.clientWidth), height: 240 };
    figure.replaceChildren();
    new window.uPlot({ ...size, series: [{}, ...series], axes: [axis, { ...axis, size: 46 }], scales: { x: { range: (_, low, high) => (data[0].length < 2 ? [low - 43200, low + 43200] : [low, high]) }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.05)] } } }, data, figure);
  }
  const all = () => document.querySelectorAll("[data-series]").forEach(draw);
  let width = innerWidth, waiting = 0;
  document.addEventListener("DOMContentLoaded", all);
  document.addEventListener("htmx:after:swap", () => document.querySelectorAll("[data-series]:empty").forEach(draw));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(all, 150);
  });
})();
