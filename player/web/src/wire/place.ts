// Where this page came from. A proxy may have put the server below a path, which only the address of this file shows.
// Every address of the server is made here; no other module may begin one with a slash.

const ASSETS = "/assets/";

/** The path of the server's root, with a final slash, from the address of a file of the built client. */
export function rootOf(file: string): string {
  const at = file.lastIndexOf(ASSETS);
  return at < 0 ? "/" : new URL(file.slice(0, at + 1)).pathname;
}

const root = rootOf(import.meta.url);

/** The address of a path of the server: `at("/api/me")`. */
export function at(path: string): string {
  return root + path.slice(1);
}

/** The path of the server that a page's path means, or null if the page is not the server's. */
export function pathOf(pathname: string): string | null {
  return pathname.startsWith(root) ? `/${pathname.slice(root.length)}` : pathname === root.slice(0, -1) ? "/" : null;
}
