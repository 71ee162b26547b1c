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
import { route } from "./app/route";
import type { Route } from "./app/route";
import { applySettings } from "./app/settings";
import { aside, client, seated, showSeat, start, startPage } from "./app/store";
import { followTurn } from "./app/turn";
import { Lobby } from "./screens/lobby";
import { Profile } from "./screens/profile";
import { ReplayScreen } from "./screens/replay";
import { Session } from "./screens/session";
import { Arrival } from "./ui/arrival";
import { pathOf } from "./wire/place";

function App() {
  const at = route.value;
  // Back from a session that was watched leads to the seat, whose connection was kept.
  if (at.screen === "session" && aside.value?.token === at.token) showSeat();
  // Back in the browser leaves the seat's screen, not the seat: its connection stays, so that a waiting room keeps it.
  if ((at.screen === "lobby" || at.screen === "player") && client.value && client.value.token !== seated.value) {
    client.value.dispose();
    client.value = null;
  }
  return (
    <>
      <Screen at={at} />
      <Arrival />
    </>
  );
}

function Screen({ at }: { at: Route }) {
  switch (at.screen) {
    case "lobby":
      return <Lobby />;
    case "session":
      return <Session token={at.token} key={at.token} />;
    case "replay":
      return <ReplayScreen token={at.token} key={at.token} />;
    case "player":
      return <Profile player={at.token} key={at.token} />;
  }
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
  followTurn();
  render(<App />, page);
}
