/**
 * The deck plays one version of one clip at a time. All versions share one clock: `origin` is the time of the audio
 * context at which position 0 was or would have been heard, and switching leaves it as it is.
 */
class Deck extends EventTarget {
  static FADE = 0.008; // seconds in which one version gives way to another
  static AHEAD = 0.02; // seconds from a decision to what is heard, so that it can be scheduled exactly
  static KEPT = 3; // clips whose decoded samples are kept

  constructor(clips) {
    super();
    this.clips = clips;
    this.context = null;
    this.decoded = new Map(); // by clip: promises of buffers by id of the sound
    this.clip = 0;
    this.sound = null;
    this.playing = false;
    this.loop = true;
    this.rest = 0; // the position while paused
    this.origin = 0;
    this.voice = null;
    this.wish = 0; // counts decisions, so that one that waited for decoding knows if it is still wanted
  }

  get duration() {
    return this.clips[this.clip].seconds;
  }

  /** Seconds from the start of the clip. */
  get position() {
    return this.playing ? this.positionAt(this.context.currentTime) : this.rest;
  }

  positionAt(time) {
    const since = Math.max(0, time - this.origin);
    return this.loop ? since % this.duration : Math.min(since, this.duration);
  }

  /** Chooses a clip and the id of a sound of it; a clip that plays goes on with the new sound. */
  select(clip, sound) {
    if (clip !== this.clip) {
      this.pause();
      this.rest = 0;
      this.clip = clip;
    }
    this.sound = sound;
    // Even for the same sound: in a blind test the way it begins must not tell what it is.
    return this.playing ? this.#start(null) : Promise.resolve();
  }

  toggle() {
    return this.playing ? this.pause() : this.play();
  }

  play() {
    if (this.playing) return Promise.resolve();
    return this.#start(this.rest >= this.duration ? 0 : this.rest);
  }

  pause() {
    this.wish++;
    if (!this.playing) return;
    this.rest = this.position;
    this.playing = false;
    this.#silence(this.context.currentTime);
    this.#changed();
  }

  seek(position) {
    const to = Math.min(Math.max(position, 0), this.duration);
    if (this.playing) return this.#start(to);
    this.rest = to;
    this.#changed();
    return Promise.resolve();
  }

  setLoop(on) {
    if (this.playing) this.origin = this.context.currentTime - this.position;
    this.loop = on;
    if (this.voice) this.voice.source.loop = on;
    this.#changed();
  }

  /** Starts the chosen sound at a position, or, for null, where the clock says. */
  async #start(from) {
    const wish = ++this.wish;
    // A phone lets sound begin only in the very call of a tap, so this comes before anything that waits.
    this.context ??= new AudioContext({ latencyHint: "interactive" });
    this.context.resume();
    const { clip, sound } = this;
    const buffer = await this.#buffer(clip, sound);
    if (wish !== this.wish) return;
    const at = this.context.currentTime + Deck.AHEAD;
    if (from !== null) this.origin = at - from;
    const wasPlaying = this.playing;
    this.playing = true;
    const position = this.positionAt(at);
    this.#silence(at);
    const source = new AudioBufferSourceNode(this.context, { buffer, loop: this.loop, loopEnd: this.duration });
    const gain = new GainNode(this.context, { gain: 0 });
    source.connect(gain).connect(this.context.destination);
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(1, at + Deck.FADE);
    source.start(at, position);
    const voice = { source, gain };
    source.onended = () => {
      if (this.voice !== voice) return;
      this.voice = null;
      this.playing = false;
      this.rest = 0;
      this.#changed();
    };
    this.voice = voice;
    if (!wasPlaying || from !== null) this.#changed();
    // The others are decoded while this one is heard, so that switching does not wait.
    for (const other of soundsOf(this.clips[clip])) this.#buffer(clip, other);
  }

  #silence(at) {
    if (!this.voice) return;
    const { source, gain } = this.voice;
    this.voice = null;
    gain.gain.setValueAtTime(1, at);
    gain.gain.linearRampToValueAtTime(0, at + Deck.FADE);
    source.stop(at + Deck.FADE);
  }

  #buffer(clip, sound) {
    const own = this.decoded.get(clip) ?? new Map();
    this.decoded.delete(clip);
    this.decoded.set(clip, own); // the last used comes last
    for (const old of [...this.decoded.keys()].slice(0, -Deck.KEPT)) this.decoded.delete(old);
    if (!own.has(sound)) own.set(sound, this.context.decodeAudioData(bytesOf(sound)));
    return own.get(sound);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

function soundsOf(clip) {
  return [...clip.versions.map((version) => version.sound), clip.anchor];
}

/** The bytes in an element that holds base64. */
function bytesOf(id) {
  const text = atob(document.getElementById(id).textContent);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes.buffer;
}
