// Slack's dates in mrkdwn, <!date^SECONDS^FORMAT|FALLBACK>, in the reader's own time zone and language.

const FORMATS = {
  date_num: { year: "numeric", month: "2-digit", day: "2-digit" },
  date: { year: "numeric", month: "long", day: "numeric" },
  date_short: { year: "numeric", month: "short", day: "numeric" },
  date_long: { weekday: "long", year: "numeric", month: "long", day: "numeric" },
  time: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  time_secs: { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
};

// `target` is the text after the exclamation mark. Returns null if it is not a valid date.
export function dateWords(target) {
  const [name, seconds, format] = target.split("^");
  if (name !== "date" || !/^\d{1,11}$/.test(seconds ?? "") || !format) return null;
  const moment = new Date(Number(seconds) * 1000);
  return format.replace(/\{([a-z_]+)\}/g, (whole, token) => inWords(moment, token) ?? whole);
}

function inWords(moment, token) {
  const days = token.endsWith("_pretty") ? dayWord(moment) : null;
  const options = FORMATS[token.replace("_pretty", "")];
  if (days) return days;
  return options ? moment.toLocaleString([], options) : null;
}

function dayWord(moment) {
  const start = (at) => new Date(at.getFullYear(), at.getMonth(), at.getDate());
  const days = Math.round((start(moment) - start(new Date())) / 86_400_000);
  return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days] ?? null;
}
