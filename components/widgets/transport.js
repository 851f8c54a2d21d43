// One clock for a page: its sounds drive every Plotly chart that carries the clock's name.
//
//   layout.meta.time_axis  === clock   a playhead moves over the chart, a click seeks, its zoom is everybody's zoom,
//                                      selection and cross-hair are drawn on it
//   layout.meta.trajectory === clock   a mark moves along the points of trace 0 (times in meta.trajectory_times)
//   layout.meta.window_s               the playhead carries a band as wide as the sound that one score has heard
//   layout.meta.reads === "frequency"  y is a frequency in Hz, or rows of equal height between meta.row_edges [Hz]
//   layout.meta.unit                   unit of the values of trace 0
//
// Streamlit calls the default export again on the same parentElement after every change of data or theme, and the
// function that it returns only when the component goes: so there is one Transport a key, and `update` may be
// called any number of times.

// ---- Everything undocumented of Plotly and Streamlit that this file relies on. Checked by tests/browser.

const CHART = ".js-plotly-plot";

const plotly = {
  all: () => [...document.querySelectorAll(CHART)].filter((gd) => gd._fullLayout),
  meta: (gd) => gd._fullLayout.meta ?? {},
  // A new event emitter means that Plotly has started afresh on this element and forgotten our handlers.
  generation: (gd) => gd._ev,
  ready: () => window.Plotly !== undefined,
  range: (gd) => gd._fullLayout.xaxis.range.map(Number),
  zoom: (gd, range) => window.Plotly.relayout(gd, { "xaxis.range": [...range] }),
  axis: ({ _offset, _length, range }) => ({ offset: _offset, length: _length, from: +range[0], to: +range[1] }),
  x: (gd) => plotly.axis(gd._fullLayout.xaxis),
  plotArea: (gd) => ({ top: gd._fullLayout._size.t, height: gd._fullLayout._size.h }),
  pixel: (gd, x, y) => {
    const { xaxis, yaxis } = gd._fullLayout;
    return [xaxis._offset + xaxis.l2p(x), yaxis._offset + yaxis.l2p(y)];
  },
  first: (gd) => gd._fullData[0],
  is3d: (gd) => gd._fullData[0]?.type === "scatter3d",
  moveNow: (gd, [x, y, z]) =>
    window.Plotly.restyle(gd, { x: [[x]], y: [[y]], z: [[z]] }, [gd._fullData.length - 1]),

  // Pixels from the top of the plot area and places on the y axis: values, their log10, or the number of a row.
  place: (gd, py) => gd._fullLayout.yaxis.p2l(py),
  unplace: (gd, place) => gd._fullLayout.yaxis.l2p(place),
  isLog: (gd) => gd._fullLayout.yaxis.type === "log",
  isRows: (gd) => gd._fullLayout.yaxis.type === "category",
  // The last layer holds the hover text: what is put before it does not cover that.
  hoverLayer: (gd) => [...gd.querySelectorAll(".svg-container > .main-svg")].at(-1),
  cells: (gd) => gd.calcdata?.[0]?.[0]?.z ?? gd._fullData[0].z,
};

// ---- Small helpers

const SHORTEST_VIEW_S = 0.002;
const CLICK_PX = 4;
const DOUBLE_CLICK_MS = 350;
const REPORT_MS = 250;
const MOVE_3D_MS = 100;
const GLIDE_MS = 60; // from zoom to zoom while a hand is at it
const WHEEL_ZOOM = 0.003; // a notch of 100 is a third
const LINE_PX = 16; // a wheel that counts in lines
const END_S = 0.02; // so close to the end, play begins again
const LOOSE_END_S = 0.25; // a file may be this much shorter than the recording (compressed ones are)
const STEP_MS = 200; // from correction to correction of the sounds that play along unheard
const IN_STEP_S = 0.004;
const LOST_S = 0.25; // too far away to catch up
const LONG_S = 600; // longer sounds are fetched when they are needed
const HUSHED = 1e-5; // -100 dB: nobody hears it
const AUDIO_EVENTS = ["play", "pause", "timeupdate", "ended", "loadedmetadata", "error"];
const SHARED = ["view", "selection"]; // what both Python and the user may set
const CURSOR = { start: "ew-resize", end: "ew-resize", low: "ns-resize", high: "ns-resize" };

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
// A chart that is about to be replaced has no layout any more.
const isVisible = (gd) =>
  gd._fullLayout !== undefined && gd.isConnected && gd.clientWidth > 0 && gd.offsetParent !== null;
const same = (a, b) => a === b || (a && b && Math.abs(a[0] - b[0]) + Math.abs(a[1] - b[1]) < 1e-6 * (b[1] - b[0]));
const sorted = (a, b) => (a <= b ? [a, b] : [b, a]);
const isNumbers = (values) => values?.length > 0 && typeof values[0] === "number";

function clockText(seconds, digits = 2) {
  const units = Math.round(Math.max(0, seconds) * 10 ** digits);
  const part = (n, width = 2) => String(n).padStart(width, "0");
  const whole = Math.floor(units / 10 ** digits);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const rest = `${part(whole % 60)}.${part(units % 10 ** digits, digits)}`;
  return hours ? `${hours}:${part(minutes)}:${rest}` : `${minutes}:${rest}`;
}

const minus = (text) => text.replace("-", "−");
const hertzText = (hz) => (hz < 999.5 ? `${hz.toFixed(0)} Hz` : `${+(hz / 1000).toFixed(2)} kHz`);
const valueText = (value, unit) => minus(`${+value.toPrecision(3)}${unit && ` ${unit}`}`);

// "A4 +12 ct": the nearest note of equal temperament, A4 = 440 Hz, and how far from it.
function noteText(hz) {
  const midi = 69 + 12 * Math.log2(hz / 440);
  const note = Math.round(midi);
  if (!(note >= 0)) return ""; // below 8 Hz there are no notes
  const names = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];
  const cents = Math.round(100 * (midi - note));
  return `${names[note % 12]}${Math.floor(note / 12) - 1} ${minus(`${cents < 0 ? "" : "+"}${cents}`)} ct`;
}

function selectionText({ start, end, low, high }) {
  const length = end - start;
  const duration = length < 0.1 ? `${(1000 * length).toFixed(1)} ms` : `${length.toFixed(2)} s`;
  const band = low === null ? "" : ` · ${hertzText(low)} - ${hertzText(high)}`;
  return `${clockText(start)} - ${clockText(end)} · ${duration}${band}`;
}

// Index of the time nearest to t; times ascend.
function nearest(times, t) {
  let low = 0;
  let high = times.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (times[middle] <= t) low = middle;
    else high = middle;
  }
  return t - times[low] <= times[high] - t ? low : high;
}

// Who types, or chooses with keys. After a click on a button or a radio the letters are still ours.
const TYPING =
  "input:not([type=radio], [type=checkbox], [type=range], [type=button]), textarea, select, " +
  "[contenteditable=''], [contenteditable='true'], [role=combobox], [role=listbox], [role=option], " +
  "[role=menuitem], [role=textbox], [role=grid], [role=gridcell], [role=spinbutton], [role=dialog]";
// What takes the space bar for itself.
const OWN_SPACE =
  `${TYPING}, input, button, a[href], summary, audio, video, canvas, [role=slider], [role=button], [role=tab], ` +
  "[role=radio], [role=checkbox], [role=switch]";

const isIn = (event, selector) => {
  const target = event.composedPath()[0];
  return target instanceof Element && target.closest(selector) !== null;
};

function overlay(gd, className, style) {
  const div = document.createElement("div");
  div.className = className;
  div.setAttribute("aria-hidden", "true");
  div.style.cssText = `position:absolute;left:0;top:0;pointer-events:none;display:none;${style}`;
  if (getComputedStyle(gd).position === "static") gd.style.position = "relative";
  gd.append(div);
  return div;
}

// ---- What a chart says at a place

// Index of the cell of a heat map that a value falls in: by the centres of the cells, or by first centre and step.
function cellIndex(centres, first, step, count, value, scale = (v) => v) {
  if (isNumbers(centres)) {
    let best = 0;
    const target = scale(value);
    for (let i = 1; i < centres.length; i++) {
      if (Math.abs(scale(centres[i]) - target) < Math.abs(scale(centres[best]) - target)) best = i;
    }
    return best;
  }
  return clamp(Math.round((value - first) / step), 0, count - 1);
}

const reading = {
  isFrequency: (gd) => {
    const { reads, row_edges: edges } = plotly.meta(gd);
    return reads === "frequency" && (isNumbers(edges) || !plotly.isRows(gd));
  },

  // Frequency [Hz] at a pixel from the top of the plot area, and back.
  hertz(gd, py) {
    const place = plotly.place(gd, py);
    const { row_edges: edges } = plotly.meta(gd);
    if (!isNumbers(edges)) return plotly.isLog(gd) ? 10 ** place : Math.max(0, place);
    const row = clamp(place + 0.5, 0, edges.length - 1);
    const i = Math.min(Math.floor(row), edges.length - 2);
    return edges[i] + (row - i) * (edges[i + 1] - edges[i]);
  },
  pixel(gd, hz) {
    const { row_edges: edges } = plotly.meta(gd);
    if (!isNumbers(edges)) return plotly.unplace(gd, plotly.isLog(gd) ? Math.log10(Math.max(hz, 1e-3)) : hz);
    let i = 0;
    while (i < edges.length - 2 && edges[i + 1] <= hz) i++;
    return plotly.unplace(gd, i + clamp((hz - edges[i]) / (edges[i + 1] - edges[i]), 0, 1) - 0.5);
  },

  // "-23 dB": the cell of a heat map, or the point of a curve that is nearest in time; "" where it says nothing.
  value(gd, t, py) {
    const trace = plotly.first(gd);
    const unit = plotly.meta(gd).unit ?? (reading.isFrequency(gd) ? "dB" : undefined);
    if (unit === undefined || !trace) return "";
    let value;
    if (trace.type === "heatmap") {
      const z = plotly.cells(gd);
      const place = plotly.place(gd, py);
      const inRows = plotly.isRows(gd) || isNumbers(plotly.meta(gd).row_edges);
      const row = inRows
        ? clamp(Math.round(place), 0, z.length - 1)
        : plotly.isLog(gd)
          ? cellIndex(trace.y, trace.y0, trace.dy, z.length, 10 ** place, Math.log)
          : cellIndex(trace.y, trace.y0, trace.dy, z.length, place);
      value = z[row]?.[cellIndex(trace.x, trace.x0, trace.dx, z[row].length, t)];
    } else if (trace.type?.startsWith("scatter") && trace.x?.length) {
      value = trace.y[nearest(trace.x, t)];
    }
    return Number.isFinite(value) ? valueText(value, unit) : "";
  },
};

// ---- A chart with time on x

const ACCENT = "#3A87BF";

class TimeChart {
  constructor(gd, transport) {
    this.gd = gd;
    this.generation = plotly.generation(gd);
    this.zooming = 0; // while we set the range ourselves, its events are no wish of the user
    // Where colours are values the tint is faint: what is selected must not look louder than the rest.
    const tint = plotly.first(gd)?.type === "heatmap" ? "12" : "29";
    this.box = overlay(gd, "otoscope-selection", `z-index:3;background:${ACCENT}${tint}`);
    this.edges = Object.fromEntries(Object.keys(CURSOR).map((edge) => [edge, this.edge(edge)]));
    this.label = overlay(
      gd,
      "otoscope-label",
      "z-index:7;padding:1px 6px;border-radius:4px;background:rgba(20,24,32,.82);color:white;white-space:nowrap;" +
        "box-shadow:0 0 0 1px rgba(255,255,255,.35);" +
        "font-size:12px;line-height:1.5;font-variant-numeric:tabular-nums",
    );
    const thin = "background:#8C8C8C;box-shadow:0 0 0 .5px rgba(255,255,255,.6);will-change:transform";
    this.hair = overlay(gd, "otoscope-hair", `${thin};width:1px`);
    this.level = overlay(gd, "otoscope-level", `${thin};height:1px`);
    plotly.hoverLayer(gd)?.before(this.hair, this.level);
    this.line = overlay(
      gd,
      "otoscope-playhead",
      "width:2px;z-index:5;background:#ff4b4b;box-shadow:0 0 0 1px rgba(255,255,255,.55);will-change:transform",
    );
    this.band = overlay(this.line, "otoscope-window", "height:100%;background:#ff4b4b;opacity:.14");
    gd.on("plotly_relayout", (change) => this.zooming || transport.onRelayout(this, change));
    const redraw = () => {
      this.measure();
      transport.draw();
      transport.drawSelection();
      transport.drawHair();
    };
    gd.on("plotly_relayouting", redraw);
    gd.on("plotly_afterplot", redraw);
    this.measure();
  }

  // An edge of the selection: a line in the middle of a handle that is wide enough for a finger.
  edge(name) {
    const upright = name === "start" || name === "end";
    const line = `transparent 4px,${ACCENT} 4px 6px,transparent 6px`;
    const across = upright ? "top:0;bottom:0;width:10px" : "left:0;right:0;height:10px";
    const side = { start: "left:-5px", end: "right:-5px", high: "top:-5px", low: "bottom:-5px" }[name];
    const div = overlay(this.box, "otoscope-edge", `background:linear-gradient(${upright ? 90 : 180}deg,${line})`);
    div.style.left = div.style.top = "auto";
    div.style.cssText += `;${across};${side};cursor:${CURSOR[name]};touch-action:none`;
    div.dataset.edge = name;
    return div;
  }

  // Geometry is read once and kept: nothing of the layout is asked for while sound plays.
  measure() {
    const { gd } = this;
    if (!gd._fullLayout?.xaxis) return;
    this.width = gd.clientWidth;
    this.x = plotly.x(gd);
    this.area = plotly.plotArea(gd);
    const { top, height } = this.area;
    for (const { style } of [this.line, this.hair]) {
      style.top = `${top}px`;
      style.height = `${height}px`;
    }
    this.level.style.left = `${this.x.offset}px`;
    this.level.style.width = `${this.x.length}px`;
    const wide = ((plotly.meta(gd).window_s ?? 0) * this.x.length) / (this.x.to - this.x.from);
    this.band.style.display = wide > 3 ? "block" : "none";
    this.band.style.width = `${Math.min(wide, 2 * this.x.length)}px`;
    this.band.style.left = `${1 - wide / 2}px`;
    this.wide = wide;
  }

  px(t) {
    const { length, from, to } = this.x;
    return ((t - from) / (to - from)) * length;
  }

  // Time and pixel from the top of the plot area at a place of the window, moved into the plot area.
  at(clientX, clientY) {
    const box = this.gd.getBoundingClientRect();
    const { offset, length, from, to } = plotly.x(this.gd);
    const { top, height } = plotly.plotArea(this.gd);
    const x = clientX - box.left - offset;
    const y = clientY - box.top - top;
    const inside = x >= 0 && x <= length && y >= 0 && y <= height;
    return { inside, t: from + clamp(x / length, 0, 1) * (to - from), py: clamp(y, 0, height) };
  }

  draw(t) {
    const { offset, length } = this.x;
    const px = this.px(t);
    const inside = px >= -0.5 && px <= length + 0.5;
    this.line.style.display = inside ? "block" : "none";
    if (!inside) return;
    this.line.style.transform = `translateX(${offset + px - 1}px)`;
    if (this.wide > 3) {
      // The band ends where the picture ends.
      const left = Math.max(0, this.wide / 2 - px);
      const right = Math.max(0, this.wide / 2 - (length - px));
      this.band.style.clipPath = `inset(0 ${right}px 0 ${left}px)`;
    }
  }

  drawHair(hair) {
    const px = hair ? this.px(hair.t) : -1;
    const inside = px >= 0 && px <= this.x.length;
    this.hair.style.display = inside ? "block" : "none";
    if (inside) this.hair.style.transform = `translateX(${this.x.offset + px - 0.5}px)`;
    const mine = inside && hair.chart === this;
    this.level.style.display = mine ? "block" : "none";
    if (mine) this.level.style.transform = `translateY(${this.area.top + hair.py - 0.5}px)`;
  }

  drawSelection(selection, text, editable) {
    const { offset, length } = this.x;
    const [left, right] = selection ? [this.px(selection.start), this.px(selection.end)] : [0, 0];
    const shown = selection !== null && right >= 0 && left <= length;
    this.box.style.display = shown ? "block" : "none";
    this.label.style.display = shown && text ? "block" : "none";
    if (!shown) return;
    const height = this.area.height;
    const isBand = selection.low !== null && reading.isFrequency(this.gd);
    const top = isBand ? reading.pixel(this.gd, selection.high) : 0;
    const bottom = isBand ? reading.pixel(this.gd, selection.low) : height;
    const [x0, x1] = [Math.max(0, left), Math.min(length, right)];
    const [y0, y1] = [clamp(top, 0, height), clamp(bottom, 0, height)];
    Object.assign(this.box.style, {
      left: `${offset + x0}px`,
      width: `${x1 - x0}px`,
      top: `${this.area.top + y0}px`,
      height: `${y1 - y0}px`,
    });
    // An edge is where it is in truth, not where the picture ends.
    const seen = {
      start: left >= 0,
      end: right <= length,
      high: isBand && top >= -0.5,
      low: isBand && bottom <= height + 0.5,
    };
    for (const [name, div] of Object.entries(this.edges)) {
      div.style.display = seen[name] ? "block" : "none";
      div.style.pointerEvents = editable ? "auto" : "none";
    }
    if (!text) return;
    this.label.textContent = text;
    this.label.style.left = `${offset + clamp(left + 4, 2, Math.max(2, length - this.label.offsetWidth - 2))}px`;
    this.label.style.top = `${this.area.top + 2}px`;
  }

  zoom(range) {
    if (!plotly.ready() || same(plotly.range(this.gd), range)) return;
    this.zooming++;
    Promise.resolve(plotly.zoom(this.gd, range))
      .catch(() => {}) // the chart was taken off the page meanwhile
      .finally(() => this.zooming--);
  }

  remove() {
    for (const div of [this.line, this.hair, this.level, this.box, this.label]) div.remove();
  }
}

// ---- A path through two or three dimensions

class Trajectory {
  constructor(gd, transport) {
    this.gd = gd;
    this.generation = plotly.generation(gd);
    this.times = plotly.meta(gd).trajectory_times;
    this.moved = 0;
    this.held = false;
    if (!plotly.is3d(gd)) {
      this.dot = overlay(
        gd,
        "otoscope-now",
        "width:14px;height:14px;margin:-7px 0 0 -7px;border-radius:50%;z-index:5;box-sizing:border-box;" +
          "background:#ff4b4b;border:2px solid white;box-shadow:0 0 0 1px rgba(0,0,0,.5);will-change:transform",
      );
      gd.on("plotly_relayouting", () => transport.draw());
      gd.on("plotly_afterplot", () => transport.draw());
    }
    // Redrawing a 3-D scene under the hand that turns it would let go of it.
    gd.addEventListener("pointerdown", () => {
      this.held = true;
      window.addEventListener("pointerup", () => (this.held = false), { once: true });
    });
    gd.on("plotly_click", ({ points }) => {
      const { curveNumber, pointNumber } = points[0];
      if (curveNumber === 0) transport.seek(this.times[pointNumber]);
    });
  }

  measure() {}

  drawHair() {}

  drawSelection() {}

  draw(t) {
    const index = nearest(this.times, t);
    const { x, y, z } = plotly.first(this.gd);
    if (this.dot) {
      const [left, top] = plotly.pixel(this.gd, x[index], y[index]);
      this.dot.style.display = "block";
      this.dot.style.transform = `translate(${left}px, ${top}px)`;
      return;
    }
    const now = performance.now();
    if (index === this.index || this.held || !plotly.ready()) return;
    clearTimeout(this.late);
    if (now - this.moved < MOVE_3D_MS) {
      this.late = setTimeout(() => this.gd.isConnected && this.draw(t), MOVE_3D_MS); // the last one must arrive
      return;
    }
    this.moved = now;
    this.index = index;
    Promise.resolve(plotly.moveNow(this.gd, [x[index], y[index], z[index]])).catch(() => {});
  }

  remove() {
    clearTimeout(this.late);
    this.dot?.remove();
  }
}

// ---- One of the sounds

// The sound that is heard and the others play side by side, these hushed: to change between them is a matter of
// volume, so nothing stops, and the moment stays. Hushed is not muted: Chromium plays what is muted (or has the
// volume 0) without the sound card, and stands still for 50 ms when it goes back to it.
class Voice {
  constructor({ name, url }, box, preload, onEvent) {
    this.name = name;
    this.url = url;
    this.start = 0; // on the clock [s]
    this.wanted = false; // whether it should be playing
    this.failed = false;
    const audio = document.createElement("audio");
    audio.preload = preload;
    audio.preservesPitch = true;
    for (const event of AUDIO_EVENTS) audio.addEventListener(event, () => onEvent(event, this));
    audio.src = url;
    this.audio = audio;
    this.hush(true);
    box.append(audio);
  }

  get ready() {
    return this.audio.readyState >= HTMLMediaElement.HAVE_METADATA;
  }

  get loading() {
    return !this.ready && !this.failed;
  }

  // Whether its own time is the clock's.
  get leads() {
    return this.wanted && this.ready && !this.audio.paused && !this.audio.ended;
  }

  get time() {
    return this.start + this.audio.currentTime;
  }

  // Whether there is sound at t.
  reaches(t) {
    const own = t - this.start;
    return this.ready && own >= 0 && own < this.audio.duration - 0.005;
  }

  hush(quiet) {
    this.audio.volume = quiet ? HUSHED : 1;
    this.audio.muted = quiet && this.audio.volume > 0.5; // iOS leaves the volume to its keys
  }

  get audible() {
    return !this.audio.muted && this.audio.volume > HUSHED;
  }

  place(t) {
    if (!this.ready) return;
    const own = clamp(t - this.start, 0, this.audio.duration);
    if (Math.abs(this.audio.currentTime - own) > 1e-4) this.audio.currentTime = own;
  }

  play(t, speed) {
    this.place(t);
    this.audio.playbackRate = speed;
    this.wanted = true;
    return this.audio.play();
  }

  pause() {
    this.wanted = false;
    this.audio.pause();
  }

  // Unheard, it may run a little faster or slower until it is in step.
  keepStep(t, speed) {
    const late = t - this.time;
    if (this.audio.seeking) return;
    if (Math.abs(late) > LOST_S) this.place(t);
    this.audio.playbackRate = Math.abs(late) < IN_STEP_S ? speed : speed * (1 + clamp(2 * late, -0.2, 0.2));
  }

  load() {
    this.failed = false;
    this.audio.load();
  }

  remove() {
    this.pause();
    this.audio.removeAttribute("src");
    this.audio.load(); // lets go of the connection
    this.audio.remove();
  }
}

// ---- The player

class Transport {
  constructor(root) {
    this.root = root;
    this.data = {};
    this.voices = [];
    this.heard = ""; // name of the voice that is heard
    this.playing = false;
    this.at = 0; // where the clock stood when it was last looked at [s]
    this.since = 0; // and when that was [ms]
    this.speed = 1;
    this.range = null; // visible range [from, to] in s; null for everything
    this.selection = null; // {start, end, low, high} or null
    this.mode = "select"; // what a drag does
    this.stretch = null; // range that play stops at, or null
    this.looping = false;
    this.charts = new Map(); // graph div -> TimeChart or Trajectory
    this.sent = ""; // what Python was told last, as JSON
    this.told = {}; // for "view" and "selection", what Python was told and has not echoed: that echo is no news
    this.known = {}; // and what Python knows last, both as JSON
    this.stop = new AbortController();
    this.parts = new Map([...root.querySelectorAll("[data-part]")].map((node) => [node.dataset.part, node]));
    this.part = (name) => this.parts.get(name);
    this.bindBar();
    this.bindOverview();
    this.bindPage();
  }

  // Called at every run of the page.
  update(data, setStateValue) {
    const before = this.data;
    this.data = data;
    this.setStateValue = setStateValue;
    const newClock = before.clock !== data.clock;
    if (newClock) {
      clearTimeout(this.reportTimer);
      this.pause();
      this.at = 0;
      this.drag = this.hair = this.stretch = null;
      this.stoppedAt = null;
      for (const name of SHARED) {
        this.told[name] = [];
        this.known[name] = JSON.stringify(data[name]);
      }
    }
    this.setSounds(data.sounds);
    const [newView, newSelection] = SHARED.map((name) => newClock || this.isNews(name, before));
    if (newView) this.range = this.tidy(data.view);
    if (newSelection) {
      const [start, end, low, high] = data.selection ?? [];
      this.selection = data.selection && { start, end, low, high };
    }
    // Python goes by what it was told last.
    if (!newClock && (newView || newSelection)) this.report();
    this.part("desk").hidden = !data.selectable;
    this.drawModes();
    this.drawMarks();
    this.drawOutline();
    this.scan();
    this.drawSelection();
    this.obeySeek();
  }

  // Whether Python wishes for something that it was not told by us.
  isNews(name, before) {
    const asked = JSON.stringify(this.data[name]);
    if (asked === JSON.stringify(before[name])) return false;
    const echo = this.told[name].indexOf(asked);
    if (echo < 0) this.known[name] = asked;
    else this.told[name].splice(0, echo + 1);
    return echo < 0;
  }

  // ---- sound

  setSounds(sounds) {
    const { duration } = this.data;
    const before = this.voices;
    this.voices = sounds.map(
      (sound) =>
        before.find(({ name, url }) => name === sound.name && url === sound.url) ??
        new Voice(sound, this.part("audio"), duration > LONG_S ? "metadata" : "auto", (event, voice) =>
          this.onVoice(event, voice),
        ),
    );
    sounds.forEach(({ start }, i) => (this.voices[i].start = start));
    for (const voice of before) if (!this.voices.includes(voice)) voice.remove();
    if (!this.voice) this.heard = sounds[0]?.name ?? "";
    this.part("sounds").hidden = sounds.length < 2;
    this.part("sounds").replaceChildren(
      ...sounds.map(({ name }, i) => {
        const button = document.createElement("button");
        button.textContent = name;
        button.setAttribute("aria-label", name); // without the key before it
        button.dataset.key = "ABCDEFGHI"[i] ?? "";
        button.title = `Hear “${name}”, at the same moment (key ${"abcdefghi"[i]} or ${i + 1}, also while it plays)`;
        button.addEventListener("click", () => this.hear(name));
        return button;
      }),
    );
    this.drawHeard();
    this.drawFault();
    if (this.playing) this.drive(this.time);
  }

  get voice() {
    return this.voices.find(({ name }) => name === this.heard);
  }

  get audio() {
    return this.voice?.audio;
  }

  // Whose time is the clock's: the heard one, or where it has no sound one that has.
  get leader() {
    return this.voice?.leads ? this.voice : this.voices.find((voice) => voice.leads);
  }

  get time() {
    if (!this.playing) return this.at;
    const now = performance.now();
    const { leader } = this;
    if (leader) this.at = leader.time;
    // Where there is no sound the clock goes on by itself; only for a sound that is on its way it waits.
    else if (!this.voice?.loading) this.at += (this.speed * (now - this.since)) / 1000;
    this.since = now;
    return this.at;
  }

  hear(name) {
    const t = this.time;
    if (!this.voices.some((voice) => voice.name === name)) return;
    this.heard = name;
    const { voice } = this;
    if (this.playing) {
      voice.audio.playbackRate = this.speed;
      if (voice.leads && Math.abs(voice.time - t) > 0.03) voice.place(t);
    } else voice.place(t);
    this.drawHeard();
    this.drawFault();
    this.report();
  }

  drawHeard() {
    for (const voice of this.voices) voice.hush(voice !== this.voice);
    for (const button of this.part("sounds").children) {
      button.setAttribute("aria-pressed", String(button.textContent === this.heard));
    }
  }

  onVoice(event, voice) {
    if (!this.voices.includes(voice)) return;
    if (event === "error") {
      voice.failed = true;
      if (voice === this.voice) this.pause();
      this.drawFault();
    } else if (event === "loadedmetadata") {
      this.drawFault();
      if (!this.playing) voice.place(this.at);
    } else if (voice === this.voice) {
      // Keys of the keyboard or the headset that the browser itself obeys.
      if (event === "play" && !voice.wanted && !voice.audio.paused) this.play();
      if (event === "pause" && voice.wanted && voice.audio.paused && !voice.audio.ended) this.pause();
    }
    this.tick();
  }

  // Every sound plays where it has something to say, the unheard ones too.
  drive(t) {
    const now = performance.now();
    const correct = now - (this.corrected ?? 0) > STEP_MS;
    if (correct) this.corrected = now;
    const { leader } = this;
    for (const voice of this.voices) {
      const here = voice.reaches(t);
      if (here && (!voice.wanted || voice.audio.ended)) {
        voice.play(t, this.speed).catch((error) => error.name === "NotAllowedError" && this.onRefused(voice));
      } else if (!here && voice.wanted) voice.pause();
      else if (here && correct && voice !== leader && voice.name !== this.heard) voice.keepStep(t, this.speed);
    }
  }

  onRefused(voice) {
    if (voice !== this.voice) return;
    this.pause();
    this.say("The browser would not start the sound. Press play once more.");
  }

  play() {
    if (this.voice?.failed) {
      this.voice.load(); // once more: perhaps it was the network
      this.drawFault();
    }
    if (this.at >= this.data.duration - END_S) this.at = 0;
    this.since = performance.now();
    this.playing = true;
    this.showPlaying();
    this.tick();
  }

  pause() {
    if (!this.playing) return;
    this.at = clamp(this.time, 0, this.data.duration);
    this.playing = false;
    for (const voice of this.voices) voice.pause();
    this.showPlaying();
    this.say(`Paused at ${clockText(this.at)}`);
    this.draw();
    if (this.data.report_time) this.report();
  }

  toggle() {
    if (this.playing) {
      this.pause();
      return;
    }
    this.stretch = null;
    const loop = this.looping ? this.wished() : null;
    if (loop && (this.at < loop[0] || this.at >= loop[1])) this.seek(loop[0]);
    this.play();
  }

  // What "play this part" and the loop mean: the selection, else what the pictures show.
  wished() {
    return this.selection ? [this.selection.start, this.selection.end] : this.range;
  }

  playRange(from, to) {
    this.seek(from);
    this.stretch = [from, to];
    this.play();
  }

  seek(t) {
    this.stretch = null;
    this.moveTo(t);
    if (this.data.report_time && !this.playing) this.report();
  }

  moveTo(t) {
    this.at = clamp(t, 0, this.data.duration);
    this.since = performance.now();
    if (this.playing) {
      for (const voice of this.voices) voice.place(this.at);
      this.drive(this.at);
    } else this.voice?.place(this.at); // the others when they are needed
    this.draw();
  }

  // Python asks for a moment or a stretch with a token; each token is obeyed once, even if the page comes back.
  obeySeek() {
    const { seek } = this.data;
    if (!seek) return;
    const [token, from, to, sound] = seek;
    const name = `${this.data.clock} ${token}`;
    if (registry.seeks.has(name)) return;
    registry.seeks.add(name);
    if (this.range && (from < this.range[0] || (to ?? from) > this.range[1])) this.setRange(null);
    if (sound) this.hear(sound);
    if (to === null) this.seek(from);
    else this.playRange(from, to);
  }

  setSpeed() {
    const t = this.time;
    this.speed = Number(this.part("speed").value);
    this.at = t;
    for (const { audio } of this.voices) audio.playbackRate = this.speed;
  }

  tick() {
    cancelAnimationFrame(this.frame);
    if (this.playing) {
      const t = this.time;
      const { duration } = this.data;
      // The end of what is to be heard, of the loop, or of everything.
      const [from, to] = this.stretch ?? (this.looping ? this.wished() : null) ?? [0, duration];
      const over = this.voice?.audio.ended && duration - t < LOOSE_END_S;
      if (t >= to || t >= duration || over) {
        if (this.looping) this.moveTo(from);
        else {
          this.pause();
          this.moveTo(to);
          this.stretch = null;
        }
      } else this.drive(t);
      this.frame = requestAnimationFrame(() => this.tick());
    }
    this.draw();
  }

  // ---- drawing

  draw() {
    const t = this.time;
    for (const chart of this.charts.values()) if (isVisible(chart.gd)) chart.draw(t);
    const { duration } = this.data;
    const text = `${clockText(t)} / ${clockText(duration)}`;
    if (this.shownText !== text) {
      this.shownText = text;
      this.part("time").textContent = text;
      const overview = this.part("overview");
      if (!this.playing) {
        overview.setAttribute("aria-valuenow", t.toFixed(2));
        overview.setAttribute("aria-valuetext", `${clockText(t)} of ${clockText(duration)}`);
      }
    }
    this.part("head").style.left = this.share(t);
  }

  share(t) {
    return `${(100 * t) / this.data.duration}%`;
  }

  showPlaying() {
    const button = this.part("play");
    button.textContent = this.playing ? "❚❚" : "▶";
    button.setAttribute("aria-label", this.playing ? "Pause" : "Play");
  }

  // To those who listen to the page.
  say(sentence) {
    this.part("status").textContent = sentence;
  }

  // To all.
  drawFault() {
    const failed = this.voices.filter((voice) => voice.failed).map((voice) => `“${voice.name}”`);
    const them = failed.length > 1 ? "them" : "it";
    const text = failed.length
      ? `${failed.join(" and ")} could not be loaded; press play to try again, or reload the page to get ${them}.`
      : "";
    if (this.part("fault").textContent !== text) this.part("fault").textContent = text;
  }

  drawModes() {
    for (const button of this.part("modes").children) {
      button.setAttribute("aria-pressed", String(button.dataset.mode === this.mode));
    }
  }

  drawMarks() {
    const { duration, marks } = this.data;
    this.part("overview").setAttribute("aria-valuemax", duration.toFixed(2));
    this.part("marks").replaceChildren(
      ...marks.map(([from, to]) => {
        const mark = document.createElement("span");
        mark.style.left = this.share(from);
        mark.style.width = `max(2px, ${this.share(to - from)})`;
        return mark;
      }),
    );
  }

  // The outline of the whole recording, in the colour of the text.
  drawOutline() {
    const canvas = this.part("outline");
    const { outline } = this.data;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((px) => Math.round(px * devicePixelRatio));
    if (!width || !height) return;
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    context.fillStyle = getComputedStyle(canvas).color;
    const peak = Math.max(1e-3, ...outline.map(([low, high]) => Math.max(-low, high)));
    const column = width / outline.length;
    outline.forEach(([low, high], i) => {
      const top = (height / 2) * (1 - high / peak);
      context.fillRect(i * column, top, column + 0.5, Math.max(1, ((height / 2) * (high - low)) / peak));
    });
  }

  drawRange() {
    const { duration } = this.data;
    const [from, to] = this.shown();
    const visible = this.part("visible");
    visible.style.left = this.share(from);
    visible.style.width = this.share(to - from);
    visible.toggleAttribute("data-part-of-all", this.range !== null);
    // The handles of a narrow window stand outside of it.
    const out = ((to - from) / duration) * this.part("overview").clientWidth < 30 ? 12 : 0;
    const edge = (share, aside) => `clamp(0px, calc(${share} - 5px + ${aside}px), calc(100% - 10px))`;
    this.part("from").style.left = edge(this.share(from), -out);
    this.part("to").style.left = edge(this.share(to), out);
    this.part("reset").disabled = this.range === null;
    this.part("out").disabled = this.range === null;
  }

  drawSelection() {
    const { selection } = this;
    const { selectable } = this.data;
    const visible = [...this.charts.values()].filter((chart) => chart instanceof TimeChart && isVisible(chart.gd));
    const tops = visible.map(({ gd }) => gd.getBoundingClientRect().top);
    const highest = Math.min(...tops);
    const text = selection ? selectionText(selection) : "";
    visible.forEach((chart, i) => chart.drawSelection(selection, tops[i] === highest ? text : "", selectable));
    const { style } = this.part("selected");
    style.display = selection ? "block" : "none";
    if (selection) {
      style.left = this.share(selection.start);
      style.width = `max(2px, ${this.share(selection.end - selection.start)})`;
    }
    this.part("chosen").textContent = text && `Selection ${text}`;
    // Hidden, not gone, so that nothing jumps.
    for (const name of ["zoom-selected", "clear"]) {
      this.part(name).style.visibility = selection ? "visible" : "hidden";
    }
    const part = this.part("part");
    part.textContent = selection ? "Play selection" : "Play visible part";
    part.title = selection ? "Play what is selected, and stop" : "Play what the pictures show, and stop";
  }

  // The cross-hair: a moment on all charts, and what the one under the mouse says there.
  drawHair() {
    let hair = null;
    if (this.hair) {
      const { x, y } = this.hair;
      const chart = (this.hair.chart = this.current(this.hair.chart, x, y));
      const at = isVisible(chart.gd) ? chart.at(x, y) : {};
      if (at.inside) hair = { chart, ...at };
    }
    for (const chart of this.charts.values()) if (isVisible(chart.gd)) chart.drawHair(hair);
    const gd = hair?.chart.gd;
    const hz = hair && reading.isFrequency(gd) ? reading.hertz(gd, hair.py) : null;
    const show = (name, text) => (this.part(name).textContent = text);
    show("at-time", hair ? clockText(hair.t, 3) : "");
    show("at-hz", hz === null ? "" : hertzText(hz));
    show("at-note", hz === null ? "" : noteText(hz));
    show("at-value", hair ? reading.value(gd, hair.t, hair.py) : "");
  }

  // ---- charts come and go with reruns, tabs and pages

  scan() {
    const { clock } = this.data;
    const mine = new Map();
    for (const gd of plotly.all()) {
      const { time_axis: time, trajectory, trajectory_times: times } = plotly.meta(gd);
      if (time === clock && gd._fullLayout.xaxis) mine.set(gd, TimeChart);
      else if (trajectory === clock && times?.length) mine.set(gd, Trajectory);
    }
    let changed = false;
    for (const [gd, chart] of this.charts) {
      if (mine.has(gd) && chart.generation === plotly.generation(gd)) continue;
      chart.remove();
      this.charts.delete(gd);
      changed = true;
    }
    for (const [gd, Kind] of mine) {
      if (!isVisible(gd)) continue;
      let chart = this.charts.get(gd);
      if (!chart) {
        this.charts.set(gd, (chart = new Kind(gd, this)));
        changed = true;
      }
      if (chart.width !== gd.clientWidth) chart.measure();
      if (chart instanceof TimeChart && !chart.zooming) chart.zoom(this.shown()); // a latecomer joins the zoom
    }
    const order = [...this.charts.keys()].map((gd) => isVisible(gd) && Math.round(gd.getBoundingClientRect().left));
    if (changed || String(order) !== this.order) this.drawSelection();
    if (changed) this.drawHair();
    this.order = String(order);
    this.drawRange();
    this.draw();
  }

  // ---- zoom

  shown() {
    return this.range ?? [0, this.data.duration];
  }

  // A range inside the clip, not empty; null when it is all of it.
  tidy(range) {
    const { duration } = this.data;
    if (!range) return null;
    const width = clamp(range[1] - range[0], Math.min(SHORTEST_VIEW_S, duration), duration);
    const from = clamp(range[0], 0, duration - width);
    return width > duration * 0.9999 ? null : [from, from + width];
  }

  setRange(range) {
    this.range = this.tidy(range);
    // First tell Python: should a Plotly to come be out of reach, it can set the range alone.
    this.report();
    this.zoomCharts();
    this.drawRange();
    this.draw();
  }

  zoomCharts() {
    for (const chart of this.charts.values()) {
      if (chart instanceof TimeChart && isVisible(chart.gd)) chart.zoom(this.shown());
    }
  }

  // While a hand is at it: the bar at once, the charts as fast as they can.
  glideTo(range) {
    this.range = this.tidy(range);
    this.report();
    this.drawRange();
    this.glideTimer ??= setTimeout(() => {
      this.glideTimer = undefined;
      if ([...this.charts.values()].some((chart) => chart.zooming)) this.glideTo(this.range);
      else this.zoomCharts();
    }, GLIDE_MS);
  }

  zoomBy(factor) {
    const [from, to] = this.shown();
    const inside = this.time >= from && this.time <= to;
    const middle = inside ? this.time : (from + to) / 2; // the playhead stays where it is
    this.setRange(this.zoomed(middle, factor));
  }

  // The visible range made `factor` times as long, with t at the place where it is.
  zoomed(t, factor) {
    const [from, to] = this.shown();
    const share = (t - from) / (to - from);
    const width = clamp((to - from) * factor, SHORTEST_VIEW_S, this.data.duration);
    return [t - width * share, t + width * (1 - share)];
  }

  onRelayout(chart, change) {
    const keys = Object.keys(change ?? {});
    if (!keys.some((key) => key.startsWith("xaxis."))) return;
    this.setRange(change["xaxis.autorange"] ? null : plotly.range(chart.gd));
  }

  // ---- selection

  select(selection) {
    this.selection = selection;
    this.drawSelection();
  }

  setSelection(selection) {
    this.select(selection);
    this.report();
  }

  // One edge moves to t; where there is no selection, or t lies beyond it, the other is the end of what is visible.
  selectFrom(t) {
    const end = this.selection?.end > t ? this.selection.end : this.shown()[1];
    if (end > t) this.setSelection({ low: null, high: null, ...this.selection, start: t, end });
  }

  selectTo(t) {
    const start = this.selection?.start < t ? this.selection.start : this.shown()[0];
    if (start < t) this.setSelection({ low: null, high: null, ...this.selection, start, end: t });
  }

  extendTo(t) {
    const { selection } = this;
    if (!selection) {
      const [start, end] = sorted(this.time, t);
      if (end > start) this.setSelection({ start, end, low: null, high: null });
    } else if (t < (selection.start + selection.end) / 2) this.selectFrom(t);
    else this.selectTo(t);
  }

  // ---- back to Python, with the clock's name: an answer about another clip is ignored there

  // One state and one timer for all: two reruns within a few ms trip Streamlit's message cache
  // ("Cached ForwardMsg MISS", its issue 15816). Never because the sound moves on, and never in mid-drag.

  report() {
    clearTimeout(this.reportTimer);
    this.reportTimer = setTimeout(() => {
      if (this.drag) {
        this.report();
        return;
      }
      if (this.data.report_time && !this.playing) this.stoppedAt = Math.round(this.time * 1e4) / 1e4;
      const { selection } = this;
      const seen = {
        clock: this.data.clock,
        view: this.range,
        time: this.stoppedAt ?? null,
        selection: selection && [selection.start, selection.end, selection.low, selection.high],
        heard: this.heard,
      };
      const text = JSON.stringify(seen);
      if (this.sent === text) return;
      this.sent = text;
      for (const name of SHARED) {
        const value = JSON.stringify(seen[name]);
        if (value !== this.known[name]) this.told[name].push(value);
        this.known[name] = value;
      }
      this.setStateValue("seen", seen);
    }, REPORT_MS);
  }

  // ---- hands and keys

  bindBar() {
    const { signal } = this.stop;
    const on = (name, event, handler) => this.part(name).addEventListener(event, handler, { signal });
    on("play", "click", () => this.toggle());
    on("part", "click", () => this.playRange(...(this.wished() ?? this.shown())));
    on("speed", "change", () => this.setSpeed());
    on("loop", "click", () => {
      this.looping = !this.looping;
      this.part("loop").setAttribute("aria-pressed", String(this.looping));
    });
    on("in", "click", () => this.zoomBy(0.5));
    on("out", "click", () => this.zoomBy(2));
    on("reset", "click", () => this.setRange(null));
    on("modes", "click", ({ target }) => {
      this.mode = target.dataset.mode ?? this.mode;
      this.drawModes();
    });
    on("zoom-selected", "click", () => this.selection && this.setRange([this.selection.start, this.selection.end]));
    on("clear", "click", () => this.setSelection(null));
    on("bar", "keydown", (event) => {
      if (event.target.matches("select")) return;
      const step = event.shiftKey ? 1 : 0.1;
      const act = {
        ArrowLeft: () => this.seek(this.time - step),
        ArrowRight: () => this.seek(this.time + step),
        Home: () => this.seek(this.shown()[0]),
        End: () => this.seek(this.shown()[1]),
        " ": event.target === this.part("overview") && (() => this.toggle()),
        "[": this.data.selectable && (() => this.selectFrom(this.time)),
        "]": this.data.selectable && (() => this.selectTo(this.time)),
      }[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    });
  }

  // The strip of the whole recording: its window is moved, its ends are drawn, anywhere else is a place to go to.
  bindOverview() {
    const { signal } = this.stop;
    const overview = this.part("overview");
    const on = (event, handler) => overview.addEventListener(event, handler, { signal });
    const timeAt = (event) => {
      const box = overview.getBoundingClientRect();
      return (clamp(event.clientX - box.left, 0, box.width) / box.width) * this.data.duration;
    };
    on("pointerdown", (event) => {
      if (event.button !== 0) return;
      overview.setPointerCapture(event.pointerId);
      const t = timeAt(event);
      const [from, to] = this.shown();
      const { end } = event.target.dataset;
      const inWindow = this.range !== null && t >= from && t <= to;
      const kind = end !== undefined ? "resize" : inWindow ? "move" : "scrub";
      this.drag = { kind, end: Number(end), t, x: event.clientX, range: [from, to], before: this.time, moved: false };
      if (kind === "scrub") this.seek(t);
    });
    on("pointermove", (event) => {
      const { drag } = this;
      if (!drag || !overview.hasPointerCapture(event.pointerId)) return;
      drag.moved ||= Math.abs(event.clientX - drag.x) > CLICK_PX;
      const t = timeAt(event);
      const [from, to] = drag.range;
      if (drag.kind === "scrub") this.seek(t);
      else if (!drag.moved) return;
      else if (drag.kind === "move") this.glideTo([from + t - drag.t, to + t - drag.t]);
      else this.glideTo(sorted(drag.end ? from : to, t));
    });
    const release = (event) => {
      const { drag } = this;
      this.drag = null;
      if (!drag || drag.moved || event.type === "pointercancel") return;
      if (this.isSecondClick(drag.before)) this.setRange(null);
      else this.seek(drag.t);
    };
    on("pointerup", release);
    on("pointercancel", release);
  }

  bindPage() {
    const { signal } = this.stop;
    const on = (target, event, handler, more) => target.addEventListener(event, handler, { signal, ...more });
    const early = { capture: true, passive: false };
    // plotly_click is silent on an empty part of a picture, so clicks are caught here.
    on(document, "pointerdown", (event) => this.onPointerDown(event), early);
    on(document, "pointermove", (event) => this.onPointerMove(event), early);
    on(document, "pointerup", (event) => this.onPointerUp(event), early);
    on(document, "pointercancel", () => this.onPointerCancel(), early);
    // A drag that marks is none of plotly's: it would draw its own box. (By the event, not by `dragmode`: every
    // rerun would set that back.)
    for (const event of ["mousedown", "touchstart"]) on(document, event, (e) => this.keepFromPlotly(e), early);
    on(document, "wheel", (event) => this.onWheel(event), early);
    on(document.documentElement, "pointerleave", () => this.point(null));
    on(document, "keydown", (event) => this.onKey(event));
    on(window, "keydown", (event) => this.onLetter(event), { capture: true });
    on(window, "resize", () => this.remeasure());
    this.sizes = new ResizeObserver(() => this.data.clock !== undefined && (this.drawOutline(), this.drawRange()));
    this.sizes.observe(this.part("overview"));
    this.observer = new MutationObserver(() => {
      this.scanTimer ??= setTimeout(() => {
        this.scanTimer = undefined;
        this.scan();
      }, 60);
    });
    this.observer.observe(document.body, { childList: true, subtree: true });
    // Tabs and expanders show charts without adding any element.
    this.interval = setInterval(() => this.scan(), 500);
  }

  remeasure() {
    for (const chart of this.charts.values()) chart.measure();
    this.draw();
    this.drawSelection();
    this.drawHair();
  }

  // A rerun may have put a new chart in the place of this one, under the mouse.
  current(chart, x, y) {
    if (this.charts.get(chart.gd) === chart) return chart;
    const next = this.charts.get(document.elementFromPoint(x, y)?.closest(CHART));
    return next instanceof TimeChart ? next : chart;
  }

  // The chart under the pointer, and the time and the height there; null beside the plot area.
  hit(event) {
    const path = event.composedPath();
    const gd = path.find((node) => node.classList?.contains(CHART.slice(1)));
    const chart = this.charts.get(gd);
    if (!(chart instanceof TimeChart) || !isVisible(gd)) return null;
    if (path.some((node) => node.classList?.contains("modebar"))) return null;
    const at = chart.at(event.clientX, event.clientY);
    const edge = path[0].dataset?.edge;
    if (!at.inside && !edge) return null;
    return { chart, edge, x: event.clientX, y: event.clientY, ...at };
  }

  onPointerDown(event) {
    if (this.drag) {
      this.onPointerCancel(); // a second finger
      return;
    }
    this.pressed = event.button === 0 && event.isPrimary ? this.hit(event) : null;
    const { pressed } = this;
    if (!pressed || !this.data.selectable || (this.mode === "zoom" && !pressed.edge)) return;
    this.drag = { kind: "select", ...pressed, before: this.selection, moved: false };
    event.preventDefault(); // no text is selected on the way
    document.activeElement?.blur?.(); // as a click beside a text field does
  }

  onPointerMove(event) {
    if (this.drag?.kind === "select") {
      if (event.buttons === 0) this.onPointerUp(event); // let go where nobody told us
      else this.onSelecting(event);
    }
    this.point(event);
  }

  point(event) {
    const hit = event && this.hit(event);
    this.hair = hit && { chart: hit.chart, x: hit.x, y: hit.y };
    this.hairFrame ??= requestAnimationFrame(() => {
      this.hairFrame = undefined;
      this.drawHair();
    });
  }

  onSelecting(event) {
    const { drag } = this;
    drag.moved ||= Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > CLICK_PX;
    drag.chart = this.current(drag.chart, event.clientX, event.clientY);
    if (!drag.moved || !isVisible(drag.chart.gd)) return;
    const { gd } = drag.chart;
    const { t, py } = drag.chart.at(event.clientX, event.clientY);
    const old = drag.before;
    if (drag.edge === "start" || drag.edge === "end") {
      const [start, end] = sorted(drag.edge === "start" ? old.end : old.start, t);
      if (end > start) this.select({ ...old, start, end });
    } else if (drag.edge) {
      const [low, high] = sorted(drag.edge === "low" ? old.high : old.low, reading.hertz(gd, py));
      if (high > low) this.select({ ...old, low, high });
    } else {
      const [start, end] = sorted(drag.t, t);
      const isBand = this.mode === "band" && reading.isFrequency(gd) && Math.abs(py - drag.py) > CLICK_PX;
      const [low, high] = isBand ? sorted(reading.hertz(gd, drag.py), reading.hertz(gd, py)) : [null, null];
      if (end > start) this.select({ start, end, low, high });
    }
  }

  onPointerUp(event) {
    const { pressed, drag } = this;
    this.pressed = null;
    if (drag?.kind === "select") {
      this.drag = null;
      if (drag.moved) {
        this.report();
        return;
      }
    }
    // Whoever has moved the mouse has zoomed.
    if (!pressed || Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > CLICK_PX) return;
    if (this.data.selectable && event.shiftKey) this.extendTo(pressed.t);
    else if (this.isSecondClick(this.time)) {
      if (drag) this.setRange(null); // plotly does not know of it
    } else this.seek(pressed.t);
  }

  onPointerCancel() {
    if (this.drag?.kind === "select") this.select(this.drag.before);
    this.drag = this.pressed = null;
  }

  // The second click of a double click resets the zoom: nobody meant to seek, so the first is undone.
  isSecondClick(before) {
    const now = performance.now();
    const second = this.click && now - this.click.at < DOUBLE_CLICK_MS;
    if (second) this.seek(this.click.before);
    this.click = second ? null : { at: now, before };
    return second;
  }

  keepFromPlotly(event) {
    if (this.drag?.kind !== "select") return;
    event.stopPropagation();
    event.preventDefault(); // no scrolling under the finger
  }

  onWheel(event) {
    if (!event.ctrlKey && !event.shiftKey) return;
    const at = this.hit(event);
    if (!at) return;
    event.preventDefault(); // the page would zoom or scroll
    const px = (event.deltaY || event.deltaX) * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_PX : 1);
    const [from, to] = this.shown();
    if (event.ctrlKey) {
      // Charts lag behind the wheel: the moment under the pointer is that of the range to come.
      const { offset, length } = at.chart.x;
      const share = clamp((event.clientX - at.chart.gd.getBoundingClientRect().left - offset) / length, 0, 1);
      this.glideTo(this.zoomed(from + share * (to - from), Math.exp(clamp(px, -100, 100) * WHEEL_ZOOM)));
    } else {
      const shift = (px / at.chart.x.length) * (to - from);
      this.glideTo([from + shift, to + shift]);
    }
  }

  onKey(event) {
    if (event.repeat || event.defaultPrevented || registry.newest() !== this) return;
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    if (event.key === "Escape" && this.data.selectable && !isIn(event, TYPING)) {
      if (this.drag) this.onPointerCancel();
      else if (this.selection) this.setSelection(null);
    } else if (event.key === " " && !isIn(event, OWN_SPACE)) {
      event.preventDefault(); // the page would scroll
      this.toggle();
    }
  }

  // a, b, c or 1, 2, 3: hear another of the sounds. Before Streamlit, where c asks to clear its caches.
  onLetter(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey || this.voices.length < 2) return;
    const index = Math.max("abcdefghi".indexOf(event.key), "123456789".indexOf(event.key));
    if (event.key.length !== 1 || index < 0 || index >= this.voices.length) return;
    if (registry.newest() !== this || isIn(event, TYPING)) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    if (!event.repeat) this.hear(this.voices[index].name);
  }

  destroy() {
    this.stop.abort();
    this.observer.disconnect();
    this.sizes.disconnect();
    clearInterval(this.interval);
    for (const timer of [this.scanTimer, this.reportTimer, this.glideTimer]) clearTimeout(timer);
    for (const frame of [this.frame, this.hairFrame]) cancelAnimationFrame(frame);
    for (const voice of this.voices) voice.remove();
    for (const chart of this.charts.values()) chart.remove();
    this.charts.clear();
  }
}

// On window, because Streamlit loads this module again when the page's code changes, and for the browser tests.
const registry = (window.__otoscope ??= {
  transports: new Map(),
  seeks: new Set(),
  newest: () => [...window.__otoscope.transports.values()].at(-1),
});

export default function ({ data, key, parentElement, setStateValue }) {
  let transport = registry.transports.get(key);
  if (transport?.root !== parentElement) {
    transport?.destroy();
    registry.transports.delete(key);
    transport = new Transport(parentElement);
    registry.transports.set(key, transport);
  }
  transport.update(data, setStateValue);
  return () => {
    transport.destroy();
    if (registry.transports.get(key) === transport) registry.transports.delete(key);
  };
}
