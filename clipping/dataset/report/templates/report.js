"use strict";
(() => {
  const settings = JSON.parse(document.getElementById("settings").textContent);
  const C = Object.fromEntries(settings.clipFields.map((name, i) => [name, i]));
  const V = Object.fromEntries(settings.videoFields.map((name, i) => [name, i]));
  const VIDEOS_AT_ONCE = 20, CLIPS_AT_ONCE = 120, CLIPS_OF_A_VIDEO = 12;
  const MOST_BARS = 300, MOST_LANES = 8, MOST_VIDEOS = 300000;
  const STATES = ["failed", "absent", "damaged", "stale", "written"];  // the worst first
  const $ = (id) => document.getElementById(id);

  // A new element. Names of files come from anybody: they become text and attributes, never HTML.
  function h(tag, props, ...children) {
    const [name, space] = tag.startsWith("svg:")
      ? [tag.slice(4), "http://www.w3.org/2000/svg"] : [tag, "http://www.w3.org/1999/xhtml"];
    const element = document.createElementNS(space, name);
    for (const [key, value] of Object.entries(props || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  const whole = (n) => Number(n).toLocaleString("en");
  const some = (n, noun) => `${whole(n)} ${noun}${n === 1 ? "" : "s"}`;
  function time(seconds) {
    const s = Math.max(0, Math.round(seconds * 1000) / 1000);
    const rest = (s % 60).toFixed(3).replace(/\.?0+$/, "");
    const padded = (rest.split(".")[0].length < 2 ? "0" : "") + rest;
    const minutes = Math.floor(s / 60);
    const hours = Math.floor(minutes / 60);
    return hours ? `${hours}:${String(minutes % 60).padStart(2, "0")}:${padded}` : `${minutes}:${padded}`;
  }
  function size(bytes) {
    for (const [unit, of] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
      if (bytes >= of) return `${(bytes / of).toPrecision(3)} ${unit}`;
    }
    return `${bytes} B`;
  }

  // Data: scripts that call `clipping`, since a page opened from a folder may not read files.

  const waiting = new Map(), loaded = new Map();
  window.clipping = (kind, number, value) => waiting.get(`${kind}/${number}`)?.(value);
  function load(kind, number) {
    const key = `${kind}/${number}`;
    if (!loaded.has(key)) {
      loaded.set(key, new Promise((resolve, reject) => {
        waiting.set(key, resolve);
        const script = h("script", { src: settings.data + settings.files[kind][number] });
        script.onload = () => { script.remove(); waiting.delete(key); };
        script.onerror = () => { script.remove(); loaded.delete(key); reject(new Error(key)); };
        document.head.append(script);
      }));
    }
    return loaded.get(key);
  }

  const videoFiles = new Map();
  async function videosIn(file) {
    if (!videoFiles.has(file)) {
      const rows = await load("videos", file);
      videoFiles.set(file, rows.map((row) => {
        const video = Object.fromEntries(settings.videoFields.map((name, i) => [name, row[i]]));
        video.found = video.source.toLowerCase();
        return video;
      }));
    }
    return videoFiles.get(file);
  }
  async function videoAt(place) {
    return (await videosIn(Math.floor(place / settings.rowsAFile)))[place % settings.rowsAFile];
  }

  const clipFiles = new Map();
  async function clipsIn(file) {
    if (!clipFiles.has(file)) {
      const [texts, rows] = await load("clips", file);
      const text = (number) => (number === null ? null : texts[number]);
      clipFiles.set(file, rows.map((row, i) => {
        const clip = Object.fromEntries(settings.clipFields.map((name, at) => [name, row[at]]));
        for (const name of ["status", "stale", "encoder", "audio_codec", "video_codec", "errors",
          "failure_kind", "recipe_digest"]) clip[name] = text(row[C[name]]);
        clip.row = file * settings.rowsAFile + i;
        clip.state = clip.status === "failed" || clip.status === "absent" ? clip.status
          : clip.stale || clip.status === "superseded" ? "stale"
            : clip.damaged_frames ? "damaged" : "written";
        return clip;
      }));
    }
    return clipFiles.get(file);
  }
  async function clipsOf(video) {
    const end = video.first + video.rows;
    const found = [];
    for (let file = Math.floor(video.first / settings.rowsAFile); file * settings.rowsAFile < end; file++) {
      const start = file * settings.rowsAFile;
      found.push(...(await clipsIn(file)).slice(Math.max(0, video.first - start), end - start));
    }
    return found;
  }

  // What is asked for

  const asked = { part: null };
  const list = $("list"), more = $("more"), found = $("found");
  let turn = 0, showMore = null;

  const isId = (text) => /^[0-9a-f]{6,8}(-|$)/i.test(text) && /^[0-9a-f-]+$/i.test(text);
  const fitsVideo = {
    failed: (v) => v.failed > 0 || v.status === "failed",
    damaged: (v) => v.damaged > 0, absent: (v) => v.absent > 0, stale: (v) => v.stale > 0,
    noted: (v) => v.noted > 0, written: (v) => v.written > 0, run: (v) => v.touched === 1,
  };
  function fitsClip(clip, status) {
    if (!status || status === "run") return true;
    if (status === "noted") return clip.status === "written" && clip.errors && !clip.damaged_frames;
    if (status === "written") return clip.status === "written";
    return clip.state === status;
  }
  const damageOf = (v) => (v.status === "failed" ? 1e12 : v.failed * 1e6) + v.damaged_frames;
  const orderOfVideos = {
    damage: (a, b) => damageOf(b) - damageOf(a), size: (a, b) => b.bytes - a.bytes,
    length: (a, b) => (b.duration_s || 0) - (a.duration_s || 0),
  };
  const damageOfClip = (c) => (c.status === "failed" ? 1e9 : 0) + (c.damaged_frames || 0);
  const lengthOfClip = (c) => c.duration_s || c.end_s - c.start_s;
  const orderOfClips = {
    damage: (a, b) => damageOfClip(b) - damageOfClip(a), size: (a, b) => b.bytes - a.bytes,
    length: (a, b) => lengthOfClip(b) - lengthOfClip(a),
  };

  function filesAsked(isNarrowed) {
    const all = settings.files.videos.length;
    if (!settings.ranges.length) return [0, all];
    if (asked.part !== null) return settings.ranges[asked.part] || [0, 0];
    return isNarrowed && all * settings.rowsAFile <= MOST_VIDEOS ? [0, all] : null;
  }

  // Several files at a time; null if something else was asked for meanwhile.
  async function allOf(files, read, mine, what) {
    const parts = new Array(files.length);
    let next = 0, done = 0;
    async function work() {
      while (next < files.length && mine === turn) {
        const at = next++;
        parts[at] = await read(files[at]);
        done++;
        if (files.length > 4) found.textContent = `Reading ${what}: ${done} of ${files.length} …`;
      }
    }
    await Promise.all(Array.from({ length: 6 }, work));
    return mine === turn ? parts.flat() : null;
  }
  const upTo = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

  async function refresh() {
    const mine = ++turn;
    const text = $("find").value.trim().toLowerCase(), status = $("status").value;
    const sort = $("sort").value, view = $("view").value;
    showMore = null;
    more.hidden = true;
    const files = filesAsked(text || status || sort !== "name" || view !== "videos");
    if (files === null) {
      list.replaceChildren();
      found.textContent = text ? "There are too many videos to search them all: choose a part." : "";
      return;
    }
    try {
      let videos = await allOf(upTo(...files), videosIn, mine, "names");
      if (videos === null) return;
      let byId = null;
      if (isId(text)) byId = await clipsAmong(videos, mine, (clip) => clip.clip.startsWith(text));
      if (mine !== turn) return;
      const held = byId && byId.length ? new Set(byId.map((clip) => clip.video)) : null;
      const base = files[0] * settings.rowsAFile;
      videos = videos.filter((v, i) => !text || v.found.includes(text) || held?.has(base + i));
      if (status) videos = videos.filter(fitsVideo[status]);
      if (view === "clips") await showClips(videos, status, sort, held ? byId : null, mine);
      else showVideos(videos, status, sort, held ? new Set(byId) : null);
    } catch (error) {
      if (mine !== turn) return;
      found.replaceChildren(`A part of the report (${error.message}) cannot be read: a run has replaced it, or it was not copied. `,
        h("a", { href: location.pathname + location.search }, "Load the page again"));
    }
  }

  async function clipsAmong(videos, mine, fits) {
    const files = new Set();
    for (const v of videos) {
      for (let f = Math.floor(v.first / settings.rowsAFile); v.rows && f * settings.rowsAFile < v.first + v.rows; f++) files.add(f);
    }
    const clips = await allOf([...files].sort((a, b) => a - b), clipsIn, mine, "clips");
    return clips && clips.filter(fits);
  }

  function inBatches(items, many, add) {
    let at = 0;
    showMore = () => {
      const part = items.slice(at, at + many);
      at += part.length;
      list.append(...part.map(add));
      more.hidden = at >= items.length;
    };
    list.replaceChildren();
    showMore();
  }

  function showVideos(videos, status, sort, only) {
    if (sort !== "name") videos = [...videos].sort(orderOfVideos[sort]);
    const clips = videos.reduce((n, v) => n + v.clips, 0);
    found.textContent = videos.length ? `${some(videos.length, "video")}, ${some(clips, "clip")}`
      : settings.files.videos.length ? "Nothing like that is here." : "Nothing is finished yet.";
    list.className = "";
    inBatches(videos, VIDEOS_AT_ONCE, (video) => videoCard(video, status, sort, only));
  }

  async function showClips(videos, status, sort, only, mine) {
    const firsts = new Set(videos.filter((v) => v.rows).map((v) => v.first));
    const owner = new Map();
    for (const v of videos) for (let i = 0; i < v.rows; i++) owner.set(v.first + i, v);
    let clips = only || await clipsAmong(videos, mine, (clip) => owner.has(clip.row));
    if (clips === null || mine !== turn) return;
    clips = clips.filter((clip) => fitsClip(clip, status));
    if (sort !== "name") clips.sort(orderOfClips[sort]);
    found.textContent = `${some(clips.length, "clip")} of ${some(firsts.size, "video")}`;
    list.className = "grid";
    inBatches(clips, CLIPS_AT_ONCE, (clip) => clipCard(clip, owner.get(clip.row), clips, true));
  }

  // A video

  const withoutName = (text, name) => (text.startsWith(`${name}: `) ? text.slice(name.length + 2) : text);

  function videoCard(video, status, sort, only) {
    const tags = [];
    if (video.status === "failed") tags.push(["failed", "failed"]);
    else if (video.status === "no clips") tags.push(["absent", "no clips"]);
    if (video.failed) tags.push(["failed", `${whole(video.failed)} failed`]);
    if (video.damaged) tags.push(["damaged", `${whole(video.damaged)} damaged`]);
    if (video.absent) tags.push(["absent", `${whole(video.absent)} absent`]);
    if (video.stale) tags.push(["stale", `${whole(video.stale)} stale`]);
    if (video.touched && settings.marked) tags.push(["run", "last run"]);
    const facts = [
      video.width && `${video.width}×${video.height}`, video.codec,
      video.fps && `${Number(video.fps.toFixed(3))} fps`,
      video.duration_s !== null && time(video.duration_s),
      some(video.clips, "clip"), video.bytes && size(video.bytes),
    ].filter(Boolean).join(" · ");
    const body = h("div", { class: "body" });
    const card = h("article", { class: "video" },
      h("header", {}, h("h3", {}, video.source), h("p", { class: "muted" }, facts),
        h("p", {}, ...tags.flatMap(([kind, text]) => [h("span", { class: `tag ${kind}` }, text), " "]))),
      video.reason ? h("p", { class: "muted" }, withoutName(video.reason, video.source)) : null, body);
    if (video.rows) fill(body, video, status, sort, only);
    return card;
  }

  async function fill(body, video, status, sort, only) {
    let clips;
    try {
      clips = await clipsOf(video);
    } catch {
      body.append(h("p", { class: "muted" }, "Its clips cannot be read: load the page again."));
      return;
    }
    const shown = clips.filter((clip) => fitsClip(clip, status) && (!only || only.has(clip)));
    if (sort !== "name") shown.sort(orderOfClips[sort]);
    const grid = h("div", { class: "grid" });
    const rest = h("button", { type: "button" });
    let at = 0;
    const add = (many) => {
      const part = shown.slice(at, at + many);
      at += part.length;
      grid.append(...part.map((clip) => clipCard(clip, video, shown, false)));
      rest.textContent = `Show ${whole(Math.min(CLIPS_AT_ONCE, shown.length - at))} more of ${some(shown.length, "clip")}`;
      rest.hidden = at >= shown.length;
    };
    rest.addEventListener("click", () => add(CLIPS_AT_ONCE));
    add(CLIPS_OF_A_VIDEO);
    body.append(...strip(video, clips), grid, rest);
  }

  function strip(video, clips) {
    const now = clips.filter((clip) => clip.status !== "superseded");
    const old = clips.filter((clip) => clip.status === "superseded");
    const end = clips.reduce((most, clip) => Math.max(most, clip.end_s), video.duration_s || 0) || 1;
    let covered = 0, overlaps = false;
    const gaps = [];
    for (const clip of [...now, { start_s: end, end_s: end, isEnd: true }]) {
      if (clip.start_s > covered + 0.0005) gaps.push([covered, clip.start_s]);
      overlaps ||= !clip.isEnd && clip.start_s < covered - 0.0005;
      covered = Math.max(covered, clip.end_s);
    }
    const bars = [];
    let lanes = 0;
    for (const group of [now, old]) {
      if (!group.length) continue;
      if (clips.length > MOST_BARS) {
        bars.push(...binned(group, end, lanes));
        lanes++;
      } else lanes += inLanes(group, lanes, bars);
    }
    const high = Math.max(8, Math.min(14, 42 / lanes));
    const counts = STATES.map((s) => [s, clips.filter((clip) => clip.state === s).length]);
    const told = counts.filter(([, n]) => n).map(([s, n]) => `${n} ${s}`);
    told.push(gaps.length ? some(gaps.length, "gap") : "no gap", overlaps ? "clips overlap" : "no overlap");
    const drawing = h("svg:svg", { class: "strip", role: "img", viewBox: `0 0 1000 ${lanes * high}`,
      preserveAspectRatio: "none", style: `height:${lanes * high}px`,
      "aria-label": `Time line of ${video.source}: ${told.join(", ")}` });
    for (const [start, stop] of gaps.slice(0, MOST_BARS)) {
      drawing.append(h("svg:rect", { class: "gap", x: (start / end) * 1000, y: 0.5,
        width: Math.max(1, ((stop - start) / end) * 1000), height: lanes * high - 1 },
      h("svg:title", {}, `no clip from ${time(start)} to ${time(stop)}`)));
    }
    for (const { start, stop, lane, state, text, clip } of bars) {
      drawing.append(h("svg:rect", { class: state, x: (start / end) * 1000, y: lane * high + 0.5,
        width: Math.max(1, ((stop - start) / end) * 1000), height: high - 1,
        onclick: () => open(clip, video, clips) }, h("svg:title", {}, text)));
    }
    const middle = told.slice(-2).filter((words) => !words.startsWith("no ")).join(", ");
    return [drawing, h("div", { class: "times", "aria-hidden": "true" },
      h("span", {}, "0:00"), h("span", {}, middle), h("span", {}, time(end)))];
  }

  function inLanes(clips, first, bars) {
    const ends = [];
    for (const clip of clips) {
      let lane = ends.findIndex((until) => until <= clip.start_s + 0.0005);
      if (lane < 0) lane = ends.length < MOST_LANES ? ends.length : clip.number % MOST_LANES;
      ends[lane] = clip.end_s;
      const many = clip.count > 1 ? `${some(clip.count, "clip")} from #${clip.number}` : `#${clip.number}`;
      const text = `${many} ${clip.state}, ${time(clip.start_s)} to ${time(clip.end_s)}`;
      bars.push({ start: clip.start_s, stop: clip.end_s, lane: first + lane, state: clip.state, text, clip });
    }
    return ends.length;
  }

  // Where there are more clips than can be told apart, each part of the line shows the worst in it.
  function binned(clips, end, lane) {
    const bins = new Map();
    for (const clip of clips) {
      const from = Math.floor((clip.start_s / end) * MOST_BARS);
      const to = Math.max(from, Math.ceil((clip.end_s / end) * MOST_BARS) - 1);
      for (let at = from; at <= Math.min(to, MOST_BARS - 1); at++) {
        const there = bins.get(at);
        if (!there || STATES.indexOf(clip.state) < STATES.indexOf(there.state)) bins.set(at, clip);
      }
    }
    const step = end / MOST_BARS;
    return [...bins].map(([at, clip]) => ({ start: at * step, stop: (at + 1) * step, lane,
      state: clip.state, clip, text: `worst here: #${clip.number} ${clip.state}` }));
  }

  // A clip

  const hasFile = (clip) => clip.bytes > 0;
  const fileOf = (clip) => `${settings.clips}${encodeURIComponent(clip.clip)}.mp4`;
  const pictureOf = (clip) => `${settings.previews}${encodeURIComponent(clip.clip)}.jpg`;

  function clipCard(clip, video, among, isNamed) {
    const words = clip.state === "written" ? "" : clip.state === "damaged"
      ? `${some(clip.damaged_frames, "frame")} damaged` : clip.stale || clip.status;
    const many = clip.count > 1 ? `–${clip.number + clip.count - 1}` : "";
    const frame = h("span", { class: "frame" }, hasFile(clip) ? "no picture" : clip.status);
    if (clip.preview && hasFile(clip)) {
      frame.append(h("img", { src: pictureOf(clip), loading: "lazy", decoding: "async",
        alt: `First picture of clip ${clip.number} of ${video.source}` }));
    }
    const card = h("button", { class: `clip ${clip.state}`, type: "button", title: clip.errors,
      "data-clip": clip.clip },
      frame, h("span", { class: "caption" },
        isNamed ? h("span", { class: "name" }, video.source) : null,
        `#${clip.number}${many} `, h("span", { class: "muted" }, `${time(clip.start_s)} – ${time(clip.end_s)}`),
        words ? h("span", { class: "muted name" }, words) : null));
    card.addEventListener("click", () => open(clip, video, among));
    if (hasFile(clip)) playOnHover(card, frame, clip);
    return card;
  }

  function playOnHover(card, frame, clip) {
    let wait = 0, player = null;
    card.addEventListener("pointerenter", (event) => {
      if (event.pointerType !== "mouse") return;
      wait = setTimeout(() => {
        player = h("video", { src: fileOf(clip), preload: "none", muted: true, loop: true,
          playsinline: true, poster: clip.preview ? pictureOf(clip) : null, tabindex: -1 });
        player.muted = true;
        frame.append(player);
        player.play().catch(() => {});
      }, 200);
    });
    card.addEventListener("pointerleave", () => {
      clearTimeout(wait);
      if (player) { player.pause(); player.removeAttribute("src"); player.load(); player.remove(); }
      player = null;
    });
  }

  const player = $("player");
  let at = 0, playlist = [], ownerOf = () => null;

  async function open(clip, video, among) {
    playlist = among;
    at = Math.max(0, among.indexOf(clip));
    ownerOf = async (each) => (each === clip && video) || videoAt(each.video);
    await show();
    if (!player.open) player.showModal();
  }

  async function show() {
    const clip = playlist[at], video = await ownerOf(clip);
    $("player-title").textContent = `${video.source} #${clip.number}`;
    const stage = player.querySelector(".stage");
    stopPlaying();
    if (hasFile(clip)) {
      const film = h("video", { src: fileOf(clip), controls: true, preload: "none", playsinline: true,
        poster: clip.preview ? pictureOf(clip) : null,
        "aria-label": `Clip ${clip.number} of ${video.source}` });
      stage.replaceChildren(film);
      film.play().catch(() => {});
    } else stage.replaceChildren(clip.status === "absent" ? "No frame lies here." : "There is no file: it failed.");
    const errors = player.querySelector(".errors");
    errors.hidden = !clip.errors;
    errors.textContent = clip.errors || "";
    const pixels = clip.width * clip.height * clip.frames;
    const facts = [
      ["Status", [clip.status, clip.stale && `stale: ${clip.stale}`].filter(Boolean).join(", ")],
      ["In the video", `${time(clip.start_s)} to ${time(clip.end_s)}`],
      ["Frames", clip.frames && `${whole(clip.frames)}, from number ${whole(clip.start_frame)}`],
      ["Damaged", clip.damaged_frames ? some(clip.damaged_frames, "frame") : null],
      ["Length", clip.frames && clip.duration_s && `${clip.duration_s} s, ${clip.fps} frames/s`],
      ["Picture", clip.width && `${clip.width}×${clip.height} ${clip.video_codec || ""}`],
      ["Sound", hasFile(clip) && (clip.audio_codec || "none")],
      ["Size", hasFile(clip) && `${size(clip.bytes)}${pixels ? `, ${((clip.bytes * 8) / pixels).toPrecision(3)} bits a pixel` : ""}`],
      ["Encoder", clip.encoder], ["Failure", clip.failure_kind], ["Recipe", clip.recipe_digest], ["Id", clip.clip],
    ];
    player.querySelector(".facts").replaceChildren(...facts.filter(([, value]) => value)
      .flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
    $("file").hidden = !hasFile(clip);
    $("file").href = fileOf(clip);
    $("before").disabled = at === 0;
    $("after").disabled = at >= playlist.length - 1;
  }
  function stopPlaying() {
    const film = player.querySelector("video");
    if (film) { film.pause(); film.removeAttribute("src"); film.load(); film.remove(); }
  }
  function step(by) {
    if (!playlist[at + by]) return;
    at += by;
    show();
  }
  $("before").addEventListener("click", () => step(-1));
  $("after").addEventListener("click", () => step(1));
  player.addEventListener("close", stopPlaying);
  player.addEventListener("click", (event) => { if (event.target === player) player.close(); });
  player.addEventListener("keydown", (event) => {
    if (event.target.tagName === "VIDEO") return;  // whose own keys these are
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });

  // A run at work

  let wasAtWork = false;
  window.clippingNow = (now) => {
    const box = $("now");
    if (!now) {
      box.hidden = !wasAtWork;
      box.replaceChildren("The run has ended. ", h("a", { href: location.pathname + location.search }, "Load the page again"), " to see what it made.");
      return;
    }
    wasAtWork = true;
    const minutes = Math.floor((Date.now() / 1000 - now.updated) / 60);
    const state = minutes > 5 ? `No news for ${some(minutes, "minute")}: the run was stopped, or can no longer write here. Last heard: ` : "A run is at work: ";
    box.hidden = false;
    box.replaceChildren(h("b", {}, state), now.text, " ",
      h("progress", { max: 1, value: now.share, "aria-label": "Share done" }),
      ...now.failures.map((text) => h("p", { class: "errors" }, text)),
      now.clips.length ? h("p", { class: "muted" }, "Its newest clips:") : "",
      h("div", { class: "grid" }, ...now.clips.map((clip) => {
        const video = { source: clip.source };
        const row = { ...clip, state: clip.damaged_frames ? "damaged" : "written", status: "written", count: 1, row: -1 };
        return clipCard(row, video, [row], true);
      })));
    setTimeout(news, 15000);
  };
  function news() {
    if (document.hidden) { setTimeout(news, 15000); return; }
    const script = h("script", { src: `${settings.now}?${Date.now()}` });
    script.onload = script.onerror = () => script.remove();
    document.head.append(script);
  }

  // Start

  async function follow() {
    const hash = new URLSearchParams(location.hash.slice(1));
    if (hash.has("find")) {
      $("find").value = hash.get("find");
      $("status").value = "";
      $("browse").scrollIntoView();
    } else if (hash.has("part")) {
      asked.part = Number(hash.get("part"));
      $("browse").scrollIntoView();
    } else if (hash.has("row")) {
      const row = Number(hash.get("row"));
      const clips = await clipsIn(Math.floor(row / settings.rowsAFile)).catch(() => []);
      const clip = clips.find((each) => each.clip === hash.get("clip"));
      if (clip) open(clip, null, [clip]);
      return;
    } else return;
    refresh();
  }
  let typed = 0;
  $("find").addEventListener("input", () => { clearTimeout(typed); typed = setTimeout(refresh, 200); });
  for (const id of ["status", "sort", "view"]) $(id).addEventListener("change", refresh);
  document.querySelector(".tools").addEventListener("submit", (event) => { event.preventDefault(); refresh(); });
  more.addEventListener("click", () => showMore?.());
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) showMore?.();
  }, { rootMargin: "800px" }).observe(more);
  window.addEventListener("hashchange", follow);
  refresh().then(follow);
  news();
})();
