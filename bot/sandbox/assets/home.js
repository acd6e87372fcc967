// A person's App Home: the view that the bot has published for them.
import { arrange, byId, element } from "./elements.js";
import { blockKit } from "./blocks.js";

export function drawHome(home, slack) {
  const item = { blocks: home?.blocks ?? null, trouble: slack.trouble, person: slack.person?.name ?? "" };
  arrange(byId("home"), [item], { key: () => "home", build: () => homeElement(item, slack) });
}

function homeElement(item, slack) {
  return element("div", { class: "home-view" },
    item.trouble ? element("p", { class: "trouble", role: "alert" }, item.trouble) : null,
    ...(item.blocks ? blockKit(item.blocks, slack) : [emptyElement(item)]));
}

function emptyElement({ person }) {
  return element("p", { class: "empty" }, `The bot has not published a Home for ${person} yet.`);
}
