// What the page does beyond being read: zoom, values under the cursor, a choice of runs, tables to copy.
// Nothing here is needed to read it.  Data comes from JSON in the page and is only ever set as text.
(() => {
  "use strict";

  const SCALES = {
    "bit/s": [[1e9, "Gbit/s"], [1e6, "Mbit/s"], [1e3, "kbit/s"], [1, "bit/s"]],
    "octets": [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"], [1, "B"]],
    "s": [[1, "s"], [1e-3, "ms"], [1e-6, "µs"]],
    "s/GB": [[1, "s/GB"]],
    "1": [[1, ""]],
  };
  const COLOURS = 7, FIRST = 3, HEIGHT = 130;

  const make = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const theme = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = (style) => theme(style < 0 ? "--ink" : `--k${style % COLOURS}`);
  const short = (value) => Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
  const scale = (unit, value) => SCALES[unit].find(([factor]) => Math.abs(value) >= factor) ?? SCALES[unit].at(-1);

  const sums = (curves) => curves.length ? curves[0].y.map((_, index) => curves.reduce((sum, curve) => sum + curve.y[index], 0)) : [];
  const top = (panel) => {
    const values = panel.stacked ? sums(panel.curves) : panel.curves.flatMap((curve) => curve.y);
    const most = Math.max(0, ...values, ...panel.over.flatMap((curve) => curve.y));
    return panel.limit == null ? most : Math.min(panel.limit, most);
  };

  // The curves of a panel as columns with common times, in the unit shown; `raw` are the values to
  // tell of each.
  const columns = (panel, factor) => {
    const curves = [...panel.curves, ...panel.over];
    const joined = uPlot.join(curves.map((curve) => [curve.x, curve.y.map((y) => y / factor)]));
    const raw = joined.map((column) => [...column]);
    if (panel.stacked) {
      for (let index = 1; index < panel.curves.length; index++) {
        joined[index + 1] = joined[index + 1].map((value, at) => value == null ? value : value + (joined[index][at] ?? 0));
      }
    }
    return { curves, joined, raw };
  };

  // A curve holds its value until the next sample of its own: others may have samples in between.
  const holding = (raw) => (_, series, index) => {
    if (!series) return index;
    let at = index;
    while (at > 0 && raw[series][at] == null) at--;
    return at;
  };

  class Chart {
    constructor(panel, run, high, width, explorer) {
      const [factor, unit] = scale(panel.unit, high);
      const { curves, joined, raw } = columns(panel, factor);
      const limit = (high || 1) / factor;
      const highest = Math.max(0, ...joined.slice(1).flat().filter((value) => value != null));
      this.cut = highest > limit * (1 + 1e-9) ? joined[0].filter((_, at) => joined.slice(1).some((column) => column[at] > limit)) : [];
      this.told = (index) => curves.map((curve, at) => {
        const value = raw[at + 1][holding(raw)(null, at + 1, index)];
        return `${curve.name} ${value == null ? "none" : short(value)}`;
      }).join(", ") + (unit ? ` ${unit}` : "");
      const stepped = uPlot.paths.stepped({ align: 1 });
      const series = curves.map((curve, index) => ({
        label: curve.name,
        stroke: colour(curve.style),
        width: 1.4,
        spanGaps: true,
        points: { show: false },
        paths: curve.step ? stepped : undefined,
        fill: panel.stacked && index === 0 && index < panel.curves.length ? colour(curve.style) + "8c" : undefined,
        value: (_, __, at, index_) => index_ == null || raw[at][index_] == null ? "–" : `${short(raw[at][index_])} ${unit}`,
      }));
      const bands = panel.stacked ? panel.curves.slice(1).map((curve, index) => ({
        series: [index + 2, index + 1], fill: colour(curve.style) + "8c",
      })) : [];
      const axis = { stroke: theme("--soft"), grid: { stroke: theme("--grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
      this.root = make("div", { tabindex: "0", role: "group", "aria-label": `${panel.quantity} of run ${run.run}, ${run.label}; arrow keys move the cursor, plus and minus zoom, 0 shows all` });
      const cut = this.cut.length ? ` (cut off at ▲, up to ${short(highest)})` : "";
      this.title = make("h5", {}, (unit ? `${panel.quantity}, ${unit}` : panel.quantity) + cut);
      this.plot = new uPlot({
        width, height: HEIGHT, bands,
        series: [{ label: "time", value: (_, value) => value == null ? "–" : `${value.toFixed(3)} s` }, ...series],
        axes: [{ ...axis, size: 22 }, { ...axis, size: 48 }],
        scales: { x: { time: false, range: (_, low, most) => [low, most] }, y: { range: [0, limit] } },
        cursor: { sync: { key: explorer.key }, dataIdx: holding(raw), drag: { x: true, y: false }, points: { size: 5 } },
        legend: { show: true },
        hooks: {
          setScale: [(plot, key) => { if (key === "x") explorer.zoomed(plot); }],
          draw: [(plot) => this.marks(plot, run.marks)],
        },
      }, joined, this.root);
      this.root.addEventListener("keydown", (event) => this.key(event, explorer));
    }

    marks(plot, marks) {
      const { ctx, bbox } = plot;
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = theme("--soft");
      ctx.setLineDash([4, 3]);
      for (const mark of marks.filter((each) => each.letter)) {
        const x = plot.valToPos(mark.t, "x", true);
        if (x < bbox.left || x > bbox.left + bbox.width) continue;
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
        ctx.fillText(mark.letter, x + 3, bbox.top + 10 * devicePixelRatio);
      }
      const half = 4 * devicePixelRatio;
      for (const time of this.cut) {
        const x = plot.valToPos(time, "x", true);
        if (x < bbox.left || x > bbox.left + bbox.width) continue;
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x - half, bbox.top + 2 * half);
        ctx.lineTo(x + half, bbox.top + 2 * half);
        ctx.fill();
      }
      ctx.restore();
    }

    key(event, explorer) {
      const { plot } = this;
      const times = plot.data[0];
      const { min, max } = plot.scales.x;
      const at = plot.cursor.idx ?? 0;
      const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }[event.key];
      if (move !== undefined) {
        const index = Math.min(times.length - 1, Math.max(0, at + move));
        explorer.point(times[index]);
        explorer.say(`${times[index].toFixed(3)} s: ${this.told(index)}`);
      } else if (event.key === "+" || event.key === "-") {
        const centre = times[at], half = (max - min) * (event.key === "+" ? 0.25 : 1);
        plot.setScale("x", { min: Math.max(0, centre - half), max: Math.min(explorer.end, centre + half) });
        requestAnimationFrame(() => explorer.point(centre));  // scales change after this turn
      } else if (event.key === "0" || event.key === "Escape") {
        explorer.reset();
      } else {
        return;
      }
      event.preventDefault();
    }
  }

  class Explorer {
    constructor(root) {
      this.root = root;
      this.key = root.dataset.runs;
      this.runs = JSON.parse(document.getElementById(root.dataset.runs).textContent);
      this.charts = [];
      const group = this.runs[0].group;
      this.chosen = new Set(this.runs.filter((run) => run.group === group).slice(0, FIRST));
      this.live = make("p", { role: "status" });
      this.space = make("div", { class: "charts" });
      const reset = make("button", { type: "button" }, "Show all of the time");
      reset.addEventListener("click", () => this.reset());
      root.append(
        make("h3", {}, "Zoom, and choose runs"),
        make("p", {}, "Drag across a chart to zoom into all of them; double-click to zoom out. By keyboard: Tab to a chart, arrow keys, + and −, 0."),
        this.choices(), reset, this.live, this.space,
      );
      root.hidden = false;
      this.draw();
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
      let width = root.clientWidth;
      new ResizeObserver(() => { if (root.clientWidth !== width) { width = root.clientWidth; this.draw(); } }).observe(root);
    }

    choices() {
      const set = make("fieldset", {}, make("legend", {}, "Runs"));
      for (const run of this.runs) {
        const box = make("input", { type: "checkbox" });
        box.checked = this.chosen.has(run);
        box.addEventListener("change", () => { this.chosen[box.checked ? "add" : "delete"](run); this.draw(); });
        set.append(make("label", {}, box, ` ${String(run.run).padStart(4, "0")} ${run.label}${run.group ? `, ${run.group}` : ""}`));
      }
      return set;
    }

    draw() {
      for (const chart of this.charts) chart.plot.destroy();
      this.charts = [];
      const runs = this.runs.filter((run) => this.chosen.has(run));
      this.end = Math.max(0, ...runs.map((run) => run.end));
      const tops = {};
      for (const panel of runs.flatMap((run) => run.panels)) tops[panel.quantity] = Math.max(tops[panel.quantity] ?? 0, top(panel));
      const spaces = runs.map((run) => make("div", { role: "group", "aria-label": `Run ${run.run}, ${run.label}` }, make("h4", {}, `Run ${String(run.run).padStart(4, "0")}: ${run.label}`)));
      this.space.replaceChildren(...spaces);
      this.quiet = true;
      runs.forEach((run, index) => {
        const width = Math.max(280, spaces[index].clientWidth);
        for (const panel of run.panels) {
          const chart = new Chart(panel, run, tops[panel.quantity], width, this);
          spaces[index].append(chart.title, chart.root);
          this.charts.push(chart);
        }
      });
      this.quiet = false;
      this.reset();
    }

    zoomed(plot) {
      if (this.quiet) return;
      this.quiet = true;
      const { min, max } = plot.scales.x;
      for (const chart of this.charts) if (chart.plot !== plot) chart.plot.setScale("x", { min, max });
      this.quiet = false;
    }

    reset() {
      this.quiet = true;
      for (const { plot } of this.charts) plot.setScale("x", { min: 0, max: this.end });
      this.quiet = false;
    }

    point(time) {
      for (const { plot } of this.charts) plot.setCursor({ left: plot.valToPos(time, "x"), top: 10 });
    }

    say(text) { this.live.textContent = text; }
  }

  // Tables, as text with tabs: what spreadsheets and R read from the clipboard.
  const copyable = (table) => {
    const button = make("button", { type: "button", class: "copy" }, "Copy");
    button.addEventListener("click", async () => {
      const lines = [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent).join("\t"));
      try {
        await navigator.clipboard.writeText(lines.join("\n") + "\n");
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(table);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    table.caption.append(" ", button);
  };

  // A page of runs that are still carried out: how far they are, without loading the page again,
  // so that one can go on reading.  At the end it is loaded again.
  const counted = (it) => `${it.over} of ${it.planned} runs are over${it.most > it.planned ? `, at most ${it.most} until it is decided` : ""}`;
  const told = (it) => [
    make("progress", { max: String(it.planned || 1), value: String(it.over), "aria-label": counted(it) }),
    make("p", { class: "now" }, it.current.length ? `Now: ${it.current.join("; ")}` : "Between two runs"),
    make("ul", {}, ...it.latest.map((text) => make("li", {}, text))),
  ];
  const follow = async (status, more, shown) => {
    try {
      const answer = await fetch(`/progress.json${location.search}`);
      const found = await answer.json();
      if (answer.ok && !found.length) { location.reload(); return; }
      const over = found.reduce((sum, it) => sum + it.over, 0);
      if (over !== shown) {
        const again = make("button", { type: "button" }, "Show them in the page");
        again.addEventListener("click", () => location.reload());
        status.replaceChildren(`${found.map(counted).join("; ")}. `, ...(shown === undefined ? [] : [again]));
      }
      more.replaceChildren(...found.flatMap(told));
      shown = over;
    } catch {
      status.textContent = "The server does not answer; this page tries again.";
      shown = -1;
    }
    setTimeout(follow, 1000, status, more, shown);
  };
  if (document.body.classList.contains("following")) {
    const live = document.querySelector(".live");
    follow(live.querySelector("[role=status]"), live.querySelector(".live-more"));
  }

  for (const table of document.querySelectorAll("table")) copyable(table);
  for (const root of document.querySelectorAll(".explorer")) {
    new IntersectionObserver((seen, observer) => {
      if (!seen.some((each) => each.isIntersecting)) return;
      observer.disconnect();
      new Explorer(root);
    }, { rootMargin: "600px" }).observe(root.parentElement);
  }
})();
