import { expect, it } from "vitest";
import { boardRows } from "../src/screens/board";
import { SHAPES, markSvg } from "../src/stage/marks";
import { OBSERVER_MARK, PLAYER_COLOURS, markOfPlayer, markOfSeat } from "../src/stage/palette";

const rows = Array.from({ length: 12 }, (_, i) => ({ player: `p${i + 1}`, name: `Name ${i + 1}`, value: 1500 - i, provisional: false, played: 3, kind: "person" }));
const places = (player: string | null) => boardRows(rows, player).map((one) => [one.place, one.mine]);

it("the board has eight rows and the own one, with its place, wherever it is", () => {
  const first = [1, 2, 3, 4, 5, 6, 7, 8].map((place) => [place, false]);
  expect(places(null)).toEqual(first);
  expect(places("elsewhere")).toEqual(first);
  expect(places("p11")).toEqual([...first, [11, true]]);
  expect(places("p2")).toEqual(first.map(([place]) => [place, place === 2]));
});

it("seats differ in mark and colour, and no player has the mark of those who watch", () => {
  const seats = [0, 1, 2, 3, 4, 5, 6, 7].map(markOfSeat);
  expect(new Set(seats).size).toBe(8);
  expect(new Set(PLAYER_COLOURS).size).toBe(8);
  expect(new Set(SHAPES).size).toBe(9);
  const players = Array.from({ length: 200 }, (_, i) => markOfPlayer(`player-${i}`));
  expect([...seats, ...players]).not.toContain(OBSERVER_MARK);
  expect(markSvg(OBSERVER_MARK, "Mira#k3v7", 20)).toContain(SHAPES[OBSERVER_MARK]);
});
