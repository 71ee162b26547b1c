import { expect, test } from "vitest";
import { at, pathOf, rootOf } from "../src/wire/place";

test("the root is the path above the built files, wherever a proxy put it", () => {
  expect(rootOf("http://127.0.0.1:8420/assets/index-abc.js")).toBe("/");
  expect(rootOf("https://play.example/game/assets/index-abc.js")).toBe("/game/");
  expect(rootOf("https://play.example/assets/game/assets/index-abc.js")).toBe("/assets/game/");
  expect(rootOf("http://localhost:5173/src/wire/place.ts")).toBe("/");
});

test("addresses of the server begin at its root", () => {
  expect(at("/api/me")).toBe("/api/me");
  expect(pathOf("/r/abcdefgh")).toBe("/r/abcdefgh");
});
