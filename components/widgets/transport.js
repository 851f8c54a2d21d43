// One clock for a page: the <audio> of a keyed st.audio drives every Plotly chart that carries the clock's name.
//
//   layout.meta.time_axis  === clock   a playhead moves over the chart, a click seeks, its zoom is everybody's zoom
//   layout.meta.trajectory === clock   a mark moves along the points of trace 0 (times in meta.trajectory_times)
//   layout.meta.window_s               the playhead carries a band as wide as the sound that one score has heard
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
  points: (gd) => gd._fullData[0],
  is3d: (gd) => gd._fullData[0]?.type === "scatter3d",
  moveNow: (gd, [x, y, z]) =>
    window.Plotly.restyle(gd, { x: [[x]], y: [[y]], z: [[z]] }, [gd._fullData.length - 1]),
};

// The class that Streamlit gives to st.container(key=...) is documented.
const audioBox = (key) => document.querySelector(`.st-key-${CSS.escape(key)}`);

// ---- Small helpers

const SHORTEST_VIEW_S = 0.002;
const CLICK_PX = 4;
const DOUBLE_CLICK_MS = 350;
const REPORT_MS = 250;
const MOVE_3D_MS = 100;
const AUDIO_EVENTS = ["play", "pause", "seeking", "seeked", "timeupdate", "ended", "loadedmetadata", "emptied"];

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const isVisible = (gd) => gd.isConnected && gd.clientWidth > 0 && gd.offsetParent !== null;
const same = (a, b) => a === b || (a && b && Math.abs(a[0] - b[0]) + Math.abs(a[1] - b[1]) < 1e-6 * (b[1] - b[0]));

function clockText(seconds) {
  const hundredths = Math.round(Math.max(0, seconds) * 100);
  const part = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(hundredths / 360000);
  const minutes = Math.floor(hundredths / 6000) % 60;
  const rest = `${part(Math.floor(hundredths / 100) % 60)}.${part(hundredths % 100)}`;
  return hours ? `${hours}:${part(minutes)}:${rest}` : `${minutes}:${rest}`;
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

// What takes the space bar for itself.
const OWN_KEYS =
  "input, textarea, select, button, a[href], summary, audio, video, canvas, [contenteditable=''], [contenteditable='true'], " +
  "[role=slider], [role=button], [role=combobox], [role=listbox], [role=option], [role=menuitem], [role=tab], " +
  "[role=radio], [role=checkbox], [role=switch], [role=textbox], [role=grid], [role=gridcell], [role=spinbutton]";

function overlay(gd, className, style) {
  const div = document.createElement("div");
  div.className = className;
  div.setAttribute("aria-hidden", "true");
  div.style.cssText = `position:absolute;left:0;top:0;pointer-events:none;display:none;${style}`;
  if (getComputedStyle(gd).position === "static") gd.style.position = "relative";
  gd.append(div);
  return div;
}

// ---- A chart with time on x

class TimeChart {
  constructor(gd, transport) {
    this.gd = gd;
    this.generation = plotly.generation(gd);
    this.zooming = false; // while we set the range ourselves, its events are no wish of the user
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
    };
    gd.on("plotly_relayouting", redraw);
    gd.on("plotly_afterplot", redraw);
    this.measure();
  }

  // Geometry is read once and kept: nothing of the layout is asked for while sound plays.
  measure() {
    const { gd } = this;
    if (!gd._fullLayout?.xaxis) return;
    this.width = gd.clientWidth;
    this.x = plotly.x(gd);
    const { top, height } = plotly.plotArea(gd);
    this.line.style.top = `${top}px`;
    this.line.style.height = `${height}px`;
    const wide = ((plotly.meta(gd).window_s ?? 0) * this.x.length) / (this.x.to - this.x.from);
    this.band.style.display = wide > 3 ? "block" : "none";
    this.band.style.width = `${Math.min(wide, 2 * this.x.length)}px`;
    this.band.style.left = `${1 - wide / 2}px`;
    this.wide = wide;
  }

  draw(t) {
    const { offset, length, from, to } = this.x;
    const px = ((t - from) / (to - from)) * length;
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

  zoom(range) {
    if (!plotly.ready() || same(plotly.range(this.gd), range)) return;
    this.zooming = true;
    Promise.resolve(plotly.zoom(this.gd, range))
      .catch(() => {}) // the chart was taken off the page meanwhile
      .finally(() => {
        this.zooming = false;
      });
  }

  remove() {
    this.line.remove();
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

  draw(t) {
    const index = nearest(this.times, t);
    const { x, y, z } = plotly.points(this.gd);
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

// ---- The player

class Transport {
  constructor(root) {
    this.root = root;
    this.data = {};
    this.range = null; // visible range [from, to] in s; null for everything
    this.heard = null; // range that play stops at, or null
    this.looping = false;
    this.charts = new Map(); // graph div -> TimeChart or Trajectory
    this.sent = ""; // what Python was told last, as JSON
    this.told = []; // views that Python was told of: their echo is no news
    this.stop = new AbortController();
    this.part = (name) => root.querySelector(`[data-part=${name}]`);
    this.bindBar();
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
      this.heard = null;
      this.stoppedAt = null;
      this.told = [];
    }
    const asked = JSON.stringify(data.view);
    if (newClock || (asked !== JSON.stringify(before.view) && !this.told.includes(asked))) {
      this.range = this.tidy(data.view);
    }
    this.drawMarks();
    this.scan();
    this.obeySeek();
  }

  // ---- sound

  adopt() {
    const box = audioBox(this.data.audio_key);
    const audio = box?.querySelector("audio") ?? null;
    if (audio) box.style.display = "none"; // our bar replaces the browser's; it still plays
    if (audio === this.audio) return;
    this.listening?.abort();
    this.audio = audio;
    if (!audio) return;
    this.listening = new AbortController();
    for (const name of AUDIO_EVENTS) {
      audio.addEventListener(name, () => this.onAudio(name), { signal: this.listening.signal });
    }
    this.setSpeed();
  }

  onAudio(name) {
    if (name === "ended" && this.looping) {
      this.seek(this.range ? this.range[0] : 0);
      this.play();
      return;
    }
    if (name === "play" || name === "pause" || name === "ended") this.showPlaying();
    this.tick();
    if (this.audio?.paused && this.data.report_time && this.audio.played.length + this.time > 0) this.report();
  }

  get time() {
    return this.audio?.currentTime ?? 0;
  }

  get playing() {
    return Boolean(this.audio && !this.audio.paused);
  }

  play() {
    this.audio?.play().catch(() => this.say("The browser would not start the sound. Press play once more."));
  }

  toggle() {
    if (this.playing) {
      this.audio.pause();
      return;
    }
    this.heard = null;
    if (this.looping && this.range && (this.time < this.range[0] || this.time >= this.range[1])) {
      this.seek(this.range[0]);
    }
    this.play();
  }

  playRange(from, to) {
    this.seek(from);
    this.heard = [from, to];
    this.play();
  }

  seek(t) {
    if (!this.audio) return;
    this.heard = null;
    this.audio.currentTime = clamp(t, 0, this.data.duration);
    this.draw();
  }

  // Python asks for a moment or a stretch with a token; each token is obeyed once, even if the page comes back.
  obeySeek() {
    const { seek } = this.data;
    if (!seek || !this.audio) return;
    const [token, from, to] = seek;
    const name = `${this.data.clock} ${token}`;
    if (registry.seeks.has(name)) return;
    registry.seeks.add(name);
    if (this.range && (from < this.range[0] || (to ?? from) > this.range[1])) this.setRange(null);
    if (to === null) this.seek(from);
    else this.playRange(from, to);
  }

  setSpeed() {
    if (!this.audio) return;
    const speed = Number(this.part("speed").value);
    this.audio.preservesPitch = true;
    this.audio.defaultPlaybackRate = speed; // loading another clip goes back to this one
    this.audio.playbackRate = speed;
  }

  tick() {
    cancelAnimationFrame(this.frame);
    if (this.playing) {
      // The end of what is to be heard, or of the loop.
      const [from, to] = this.heard ?? (this.looping ? this.range : null) ?? [];
      if (to !== undefined && this.time >= to) {
        if (this.looping) this.audio.currentTime = from;
        else {
          this.audio.pause();
          this.audio.currentTime = to;
          this.heard = null;
        }
      }
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
    this.part("head").style.left = `${(100 * t) / duration}%`;
  }

  showPlaying() {
    const button = this.part("play");
    button.textContent = this.playing ? "❚❚" : "▶";
    button.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    if (!this.playing) this.say(`Paused at ${clockText(this.time)}`);
  }

  say(sentence) {
    this.part("status").textContent = sentence;
  }

  drawMarks() {
    const { duration, marks } = this.data;
    this.part("overview").setAttribute("aria-valuemax", duration.toFixed(2));
    this.part("marks").replaceChildren(
      ...marks.map(([from, to]) => {
        const mark = document.createElement("span");
        mark.style.left = `${(100 * from) / duration}%`;
        mark.style.width = `max(2px, ${(100 * (to - from)) / duration}%)`;
        return mark;
      }),
    );
  }

  drawRange() {
    const { duration } = this.data;
    const [from, to] = this.range ?? [0, duration];
    const visible = this.part("visible");
    visible.style.left = `${(100 * from) / duration}%`;
    visible.style.width = `${(100 * (to - from)) / duration}%`;
    this.part("reset").disabled = this.range === null;
    this.part("out").disabled = this.range === null;
  }

  // ---- charts come and go with reruns, tabs and pages

  scan() {
    const { clock } = this.data;
    this.adopt();
    const mine = new Map();
    for (const gd of plotly.all()) {
      const { time_axis: time, trajectory, trajectory_times: times } = plotly.meta(gd);
      if (time === clock && gd._fullLayout.xaxis) mine.set(gd, TimeChart);
      else if (trajectory === clock && times?.length) mine.set(gd, Trajectory);
    }
    for (const [gd, chart] of this.charts) {
      if (mine.has(gd) && chart.generation === plotly.generation(gd)) continue;
      chart.remove();
      this.charts.delete(gd);
    }
    for (const [gd, Kind] of mine) {
      if (!isVisible(gd)) continue;
      let chart = this.charts.get(gd);
      if (!chart) this.charts.set(gd, (chart = new Kind(gd, this)));
      if (chart.width !== gd.clientWidth) chart.measure();
      if (chart instanceof TimeChart && !chart.zooming) chart.zoom(this.shown()); // a latecomer joins the zoom
    }
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
    for (const chart of this.charts.values()) {
      if (chart instanceof TimeChart && isVisible(chart.gd)) chart.zoom(this.shown());
    }
    this.drawRange();
    this.draw();
  }

  zoomBy(factor) {
    const [from, to] = this.shown();
    const inside = this.time >= from && this.time <= to;
    const middle = inside ? this.time : (from + to) / 2;
    const width = (to - from) * factor;
    const share = inside ? (this.time - from) / (to - from) : 0.5; // the playhead stays where it is
    this.setRange([middle - width * share, middle + width * (1 - share)]);
  }

  onRelayout(chart, change) {
    const keys = Object.keys(change ?? {});
    if (!keys.some((key) => key.startsWith("xaxis."))) return;
    this.setRange(change["xaxis.autorange"] ? null : plotly.range(chart.gd));
  }

  // ---- back to Python, with the clock's name: an answer about another clip is ignored there

  // One state and one timer for view and time: two reruns within a few ms trip Streamlit's message cache
  // ("Cached ForwardMsg MISS", its issue 15816). Never while sound plays, but for a zoom.

  report() {
    clearTimeout(this.reportTimer);
    this.reportTimer = setTimeout(() => {
      if (this.data.report_time && !this.playing) this.stoppedAt = Math.round(this.time * 1e4) / 1e4;
      const seen = { clock: this.data.clock, view: this.range, time: this.stoppedAt ?? null };
      const text = JSON.stringify(seen);
      if (this.sent === text) return;
      this.sent = text;
      this.told = [...this.told.slice(-20), JSON.stringify(seen.view)];
      this.setStateValue("seen", seen);
    }, REPORT_MS);
  }

  // ---- hands and keys

  bindBar() {
    const { signal } = this.stop;
    const on = (name, event, handler) => this.part(name).addEventListener(event, handler, { signal });
    on("play", "click", () => this.toggle());
    on("part", "click", () => this.playRange(...this.shown()));
    on("speed", "change", () => this.setSpeed());
    on("loop", "click", () => {
      this.looping = !this.looping;
      this.part("loop").setAttribute("aria-pressed", String(this.looping));
    });
    on("in", "click", () => this.zoomBy(0.5));
    on("out", "click", () => this.zoomBy(2));
    on("reset", "click", () => this.setRange(null));

    const overview = this.part("overview");
    const scrub = (event) => {
      const box = overview.getBoundingClientRect();
      this.seek(((event.clientX - box.left) / box.width) * this.data.duration);
    };
    on("overview", "pointerdown", (event) => {
      overview.setPointerCapture(event.pointerId);
      scrub(event);
    });
    on("overview", "pointermove", (event) => overview.hasPointerCapture(event.pointerId) && scrub(event));
    on("bar", "keydown", (event) => {
      if (event.target.matches("select")) return;
      const step = event.shiftKey ? 1 : 0.1;
      const to = {
        ArrowLeft: this.time - step,
        ArrowRight: this.time + step,
        Home: this.shown()[0],
        End: this.shown()[1],
      }[event.key];
      if (to !== undefined) {
        event.preventDefault();
        this.seek(to);
      } else if (event.key === " " && event.target === overview) {
        event.preventDefault();
        this.toggle();
      }
    });
  }

  bindPage() {
    const { signal } = this.stop;
    // plotly_click is silent on an empty part of a picture, so clicks are caught here.
    document.addEventListener("pointerdown", (event) => this.onPointerDown(event), { signal, capture: true });
    document.addEventListener("pointerup", (event) => this.onPointerUp(event), { signal, capture: true });
    document.addEventListener("keydown", (event) => this.onKey(event), { signal });
    window.addEventListener("resize", () => this.remeasure(), { signal });
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
  }

  hit(event) {
    const path = event.composedPath();
    const gd = path.find((node) => node.classList?.contains(CHART.slice(1)));
    const chart = this.charts.get(gd);
    if (!(chart instanceof TimeChart) || path.some((node) => node.classList?.contains("modebar"))) return null;
    const box = gd.getBoundingClientRect();
    const { offset, length, from, to } = plotly.x(gd);
    const { top, height } = plotly.plotArea(gd);
    const x = event.clientX - box.left - offset;
    const y = event.clientY - box.top - top;
    if (x < 0 || x > length || y < 0 || y > height) return null;
    return { x: event.clientX, y: event.clientY, t: from + (x / length) * (to - from) };
  }

  onPointerDown(event) {
    this.pressed = event.button === 0 ? this.hit(event) : null;
  }

  onPointerUp(event) {
    const { pressed } = this;
    this.pressed = null;
    // Whoever has moved the mouse has zoomed.
    if (!pressed || Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > CLICK_PX) return;
    const now = performance.now();
    if (this.click && now - this.click.at < DOUBLE_CLICK_MS) {
      this.seek(this.click.before); // the second click of a double click, which resets the zoom: nobody meant to seek
      this.click = null;
      return;
    }
    this.click = { at: now, before: this.time };
    this.seek(pressed.t);
  }

  onKey(event) {
    if (event.key !== " " || event.repeat || event.defaultPrevented) return;
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    if (registry.newest() !== this) return;
    const target = event.composedPath()[0];
    if (target instanceof Element && target.closest(OWN_KEYS)) return;
    event.preventDefault(); // the page would scroll
    this.toggle();
  }

  destroy() {
    this.stop.abort();
    this.listening?.abort();
    this.observer.disconnect();
    clearInterval(this.interval);
    for (const timer of [this.scanTimer, this.reportTimer]) clearTimeout(timer);
    cancelAnimationFrame(this.frame);
    this.audio?.pause();
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
