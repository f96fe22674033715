// Keeps the chosen time for a visitor who is typing: a courtesy. What goes wrong here keeps nobody from sending.

const warning = 2 * 60000; // before it runs out
const unhurried = 500; // so that arrow keys on their way through the times hold none of them

// `say(text, canBeKept, practitioner)` is told how it stands, `taken(alternatives)` that somebody else was quicker.
export function holds(url, { say, taken }) {
  let token = "";
  let timers = [];
  let starting = 0;
  let ends = Infinity;
  let wishes = 0;
  let last = Promise.resolve();

  const inTurn = (step) => (last = last.then(step).catch(() => {}));

  function place(wish) {
    release();
    starting = setTimeout(() => inTurn(() => ask(wish, wishes)), unhurried);
  }

  async function ask(wish, number) {
    const key = crypto.getRandomValues(new Uint32Array(4)).join("-");
    const { status, body, lasts } = await post({ ...wish, submission_key: key });
    if (status === 201) token = body.hold;
    if (number !== wishes) return; // another time was chosen meanwhile: this one is given back in its turn
    if (status === 201) begin(body, lasts);
    else if (status === 409) taken(body.alternatives);
  }

  const extend = () =>
    inTurn(async () => {
      const { status, body, lasts } = await post({ hold: token });
      if (status === 200) begin(body, lasts);
      else if (status === 409) end();
    });

  function begin(body, lasts) {
    stop();
    say(`Kept for you for ${Math.round(lasts / 60000)} minutes.`, false, body.practitioner);
    const warn = () => say(`Kept ${warning / 60000} more minutes.`, body.can_be_extended);
    timers = [setTimeout(warn, lasts - warning), setTimeout(end, lasts)];
    ends = Date.now() + lasts;
  }

  // The token is sent all the same: should our clock be ahead of the server's, the hold is still in force.
  function end() {
    stop();
    say("No longer kept. It may still be free.");
  }

  // Timers stand still while a phone sleeps.
  document.addEventListener("visibilitychange", () => Date.now() > ends && end());

  function release() {
    wishes += 1;
    stop();
    inTurn(async () => {
      const old = token;
      token = "";
      if (old) await fetch(`${url}/${old}`, { method: "DELETE", keepalive: true });
    });
  }

  function stop() {
    ends = Infinity;
    [starting, ...timers].forEach(clearTimeout);
  }

  // A form that is sent while a hold is under way would find its own time taken.
  async function settled() {
    clearTimeout(starting);
    await last;
    return token;
  }

  async function post(wish) {
    const send = () => fetch(url, { method: "POST", headers: { Accept: "application/json" }, body: new URLSearchParams(wish) });
    // By its key the same again is the same hold; to be held for longer is asked once.
    const response = await (wish.submission_key ? send().catch(send) : send());
    const body = await response.json();
    // Both by the server's clock: that of the visitor may be wrong.
    const lasts = new Date(body.expires_at) - new Date(response.headers.get("Date"));
    return { status: response.status, body, lasts: lasts || 600000 };
  }

  return { place, extend, release, settled, token: () => token };
}
