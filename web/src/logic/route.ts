/* Where the page is, as the part of the address behind `#`. */

export type Route =
  | { place: "datacenter"; tab: string }
  | { place: "node"; node: string; tab: string }
  | { place: "guest"; id: string; tab: string };

export function parseRoute(hash: string): Route {
  const parts = hash.replace(/^#?\/?/, "").split("/").map(decode);
  const [place, first, second] = parts;
  if (place === "node" && first) return { place: "node", node: first, tab: second || "summary" };
  if (place === "guest" && first && second) return { place: "guest", id: `${first}/${second}`, tab: "summary" };
  return { place: "datacenter", tab: (place === "datacenter" && first) || "summary" };
}

export function formatRoute(route: Route): string {
  if (route.place === "node") return `#/node/${encodeURIComponent(route.node)}/${route.tab}`;
  if (route.place === "guest") return `#/guest/${route.id}`;
  return `#/datacenter/${route.tab}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
