import "@fontsource-variable/instrument-sans/index.css";
import "@fontsource-variable/anybody/wdth.css";
import "@fontsource-variable/martian-mono/index.css";
import "./style/tokens.css";
import "./style/base.css";
import "./style/screens.css";
import "./style/admin.css";
import "./style/replay.css";
import "./style/editor.css";
import { render } from "preact";
import { applySettings } from "./app/settings";
import { client, route, start, startPage } from "./app/store";
import { Lobby } from "./screens/lobby";
import { ReplayScreen } from "./screens/replay";
import { Session } from "./screens/session";
import { pathOf } from "./wire/place";

function App() {
  const at = route.value;
  // Back in the browser leaves the seat's screen, not the seat: the link leads in again.
  if (at.screen === "lobby" && client.value) {
    client.value.dispose();
    client.value = null;
  }
  if (at.screen === "replay") return <ReplayScreen token={at.token} key={at.token} />;
  return at.screen === "lobby" ? <Lobby /> : <Session token={at.token} key={at.token} />;
}

const page = document.getElementById("app")!;
applySettings();
if (pathOf(location.pathname)?.replace(/\/$/, "") === "/admin") {
  startPage();
  void import("./screens/admin").then(({ Admin }) => render(<Admin />, page));
} else if (pathOf(location.pathname)?.replace(/\/$/, "") === "/playground") {
  startPage();
  void import("./screens/playground").then(({ Playground }) => render(<Playground />, page));
} else {
  start();
  render(<App />, page);
}
