// A small curve of the last three minutes.

import { KEPT } from "./history.js";

const WIDTH = KEPT;
const HEIGHT = 24;

const svg = (name) => document.createElementNS("http://www.w3.org/2000/svg", name);

// curve draws points, [seconds before now, value], into an svg element, and returns the highest value.
export function curve(element, points) {
  if (!element.firstChild) {
    element.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    element.setAttribute("preserveAspectRatio", "none");
    element.append(svg("path"), svg("path"));
  }
  const peak = Math.max(0, ...points.map(([, value]) => value ?? 0));
  const runs = runsOf(points).map((run) => run.map(([ago, value]) => [WIDTH - ago, HEIGHT - 1 - (peak && value / peak) * (HEIGHT - 2)]));
  const [area, line] = element.children;
  line.setAttribute("d", runs.map((run) => `M${through(run)}`).join(""));
  area.setAttribute("d", runs.map((run) => `M${run[0][0]},${HEIGHT}L${through(run)}L${run.at(-1)[0]},${HEIGHT}Z`).join(""));
  return peak;
}

const through = (run) => run.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join("L");

// runsOf splits points where there is a gap.
function runsOf(points) {
  const runs = [[]];
  for (const point of points) {
    if (point[1] === undefined) runs.push([]);
    else runs.at(-1).push(point);
  }
  return runs.filter((run) => run.length > 0);
}
