/** The entry of every page: what all of them need, and the islands that this one has. */
import { listenForActs, prepareDeletion } from "./actions";
import { prepareKeyDialog } from "./api-key";
import "./clock";
import { listenForCommands } from "./commands";
import { listenForCloses } from "./dialogs";
import { showToastOfEarlierPage } from "./toast";

listenForCommands();
listenForCloses();
listenForActs();
prepareDeletion();
prepareKeyDialog();
showToastOfEarlierPage();

const ISLANDS: Record<string, () => Promise<unknown>> = {
  "api-form": () => import("./forms"),
  "broker-panel": () => import("./broker-panel"),
  "kill-banner": () => import("./kill-switch"),
  "risk-limits": () => import("./risk-limits"),
  "market-calendar": () => import("./calendar"),
  "schedule-day": () => import("./schedule-day"),
  "strategy-account": () => import("./strategy-account"),
  "strategy-table": () => import("./strategy-table"),
  "strategy-page": () => import("./strategy-page"),
  "upload-form": () => import("./upload-form"),
};
for (const [tag, load] of Object.entries(ISLANDS)) {
  if (document.querySelector(tag)) void load();
}
