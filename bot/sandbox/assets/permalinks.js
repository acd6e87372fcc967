// Links to something on this page: a message or a person in Slack, or an alert in MozDef. Their addresses
// do not exist outside the sandbox.

// `follow(channel, ts)` is called for a link to a message, `visit(person)` for one to a profile.
export function followLinks({ domain, follow, visit }) {
  const [archives, profiles] = ["archives", "team"].map((part) => `https://${domain}.slack.com/${part}/`);
  onLink((href) => {
    const message = href.startsWith(archives) && /^([A-Z0-9]+)\/p(\d{10,})(\d{6})(?:\?.*)?$/.exec(href.slice(archives.length));
    const person = href.startsWith(profiles) && href.slice(profiles.length);
    if (message) follow(message[1], `${message[2]}.${message[3]}`);
    else if (person) visit(person);
    return Boolean(message || person);
  });
}

// `template` has `{identifier}` where the alert's identifier goes.
export function followAlerts({ template, follow }) {
  const [before, after] = template.split("{identifier}");
  onLink((href) => {
    const isAlert = href.startsWith(before) && href.endsWith(after);
    if (isAlert) follow(decodeURIComponent(href.slice(before.length, href.length - after.length)));
    return isAlert;
  });
}

// `take(href)` returns whether it has followed the link; the browser follows the others.
function onLink(take) {
  document.addEventListener("click", (event) => {
    const href = event.target.closest?.("a[href]")?.getAttribute("href");
    if (href && take(href)) event.preventDefault();
  });
}
