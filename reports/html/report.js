"use strict";
/* Draws the charts from the figures that the page carries. Everything shown here is also in the page's tables. */
(function () {
  const runs = JSON.parse(document.getElementById("result").textContent).runs;
  const titles = runs.map((run, i) => {
    const title = run.label || run.mode;
    const alone = runs.filter((other) => (other.label || other.mode) === title).length === 1;
    return alone ? title : "#" + (run.id || i + 1) + " " + title;
  });
  const reasons = [...new Set(runs.flatMap((run) => Object.keys(run.exits || {})))];
  const charts = [];

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const runColour = (i) => colour("run-" + (i % 6));
  const at = (object, path) => path.split(".").reduce((o, key) => (o === undefined || o === null ? undefined : o[key]), object);
  const number = new Intl.NumberFormat("en", { maximumFractionDigits: 3 });
  const per = (part, whole) => (whole ? part / whole : 0);
  /* Runs without a trace have cycles, from their mix of exits, but no accesses to share them out to. */
  const accessed = runs.every((run) => at(run, "accesses.total") > 0);
  const cyclesOf = (run, path) => (accessed ? per(at(run, path) || 0, at(run, "accesses.total")) : at(run, path) || 0);
  const cyclesUnit = accessed ? "cycles an access" : "cycles";

  function options(extra) {
    const axis = { ticks: { color: colour("soft") }, grid: { color: colour("line") } };
    const title = (text) => ({ display: !!text, text: text, color: colour("soft") });
    const stacked = !!extra.stacked;
    const value = { ...axis, stacked: stacked, beginAtZero: true, title: title(extra.unit), max: extra.max };
    const category = { ...axis, stacked: stacked, grid: { display: false }, title: title(extra.category) };
    return {
      indexAxis: extra.horizontal ? "y" : "x",
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      scales: extra.horizontal ? { x: value, y: category } : { x: category, y: value },
      plugins: {
        legend: { labels: { color: colour("ink"), boxWidth: 14 } },
        tooltip: {
          callbacks: { label: (item) => item.dataset.label + ": " + number.format(item.raw) + " " + (extra.suffix || extra.unit || "") },
        },
      },
    };
  }
  const set = (label, data, background) => ({ label: label, data: data, backgroundColor: background, maxBarThickness: 44 });

  const draw = {
    cycles() {
      const part = (name) => runs.map((run) => cyclesOf(run, "cycles." + name));
      return {
        type: "bar",
        data: { labels: titles, datasets: ["base", "translation", "exits"].map((name) => set(name, part(name), colour(name))) },
        options: options({ stacked: true, horizontal: true, unit: cyclesUnit }),
      };
    },
    references() {
      const part = (name) => runs.map((run) => per(at(run, "walks." + name) || 0, at(run, "walks.count")));
      return {
        type: "bar",
        data: {
          labels: titles,
          datasets: [set("guest's tables", part("references_guest"), colour("guest")),
                     set("second stage", part("references_nested"), colour("nested"))],
        },
        options: options({ stacked: true, unit: "references a walk", suffix: "a walk" }),
      };
    },
    rates() {
      const caches = (run) => [...Object.entries(run.tlb || {}), ...Object.entries(run.psc || {}),
                               ...(run.nested_tlb ? [["nested_tlb", run.nested_tlb]] : [])];
      const asked = ([, cache]) => cache.hits + cache.misses > 0;
      const names = [...new Set(runs.flatMap((run) => caches(run).filter(asked).map(([name]) => name)))];
      const rate = (run, name) => {
        const cache = caches(run).find(([other]) => other === name);
        return cache && cache[1].hits + cache[1].misses ? 100 * per(cache[1].hits, cache[1].hits + cache[1].misses) : null;
      };
      return {
        type: "bar",
        data: { labels: names, datasets: runs.map((run, i) => set(titles[i], names.map((name) => rate(run, name)), runColour(i))) },
        options: options({ unit: "hit rate, percent", suffix: "%", max: 100 }),
      };
    },
    histogram() {
      const rows = runs.map((run) => at(run, "walks.latency_histogram_cycles") || []);
      const bounds = rows.reduce((longest, row) => (row.length > longest.length ? row : longest), []).map((pair) => pair[0]);
      const used = bounds.map((bound, b) => rows.some((row) => row[b] && row[b][1] > 0));
      const first = Math.max(0, used.indexOf(true) - 1), last = Math.min(bounds.length, used.lastIndexOf(true) + 2);
      const name = (bound, b) => (bound === null ? "> " + bounds[b - 1] : "\u2264 " + bound);
      const share = (row) => row.slice(first, last).map((pair) => 100 * per(pair[1], row.reduce((sum, p) => sum + p[1], 0)));
      return {
        type: "bar",
        data: {
          labels: bounds.map(name).slice(first, last),
          datasets: rows.map((row, i) => set(titles[i], share(row), runColour(i))),
        },
        options: options({ unit: "share of walks, percent", suffix: "% of walks", category: "latency of a walk, cycles" }),
      };
    },
    exits() {
      return {
        type: "bar",
        data: {
          labels: titles,
          datasets: reasons.map((reason, i) =>
            set(reason.replaceAll("_", " "), runs.map((run) => cyclesOf(run, "exits." + reason + ".cycles")), runColour(i))),
        },
        options: options({ stacked: true, horizontal: true, unit: cyclesUnit }),
      };
    },
  };

  function drawAll() {
    charts.splice(0).forEach((chart) => chart.destroy());
    document.documentElement.style.setProperty("--runs", runs.length);
    document.querySelectorAll("figure[data-chart]").forEach((figure) => {
      charts.push(new Chart(figure.querySelector("canvas"), draw[figure.dataset.chart]()));
    });
  }
  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("beforeprint", () => charts.forEach((chart) => chart.resize()));
})();
