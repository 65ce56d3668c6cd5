// What the server is asked for.

let csrf = "";

export class Refused extends Error {
  constructor(status, body) {
    super(body?.error?.what ?? `the server answered ${status}`);
    this.status = status;
    this.error = body?.error ?? this.message;
    this.outdated = Boolean(body?.outdated);
  }
}

const ENDED = "this page belongs to a viewer that has ended: open the address that `histofactor view` printed";
const OTHER_SERVER = 401; // it asks for another token than ours

async function refused(response) {
  const body = await response.json().catch(() => null);
  const ended = response.status === OTHER_SERVER || /cross-site/.test(body?.error?.what ?? "");
  return new Refused(response.status, ended ? { error: { what: ENDED } } : body);
}

async function answer(response) {
  if (!response.ok) throw await refused(response);
  return response.json().catch(() => null);
}

const STOPPED = "the viewer has been stopped: start `histofactor view` again";

// Browsers each have their own words for a server that is not there.
async function ask(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    throw error instanceof TypeError ? new Error(STOPPED, { cause: error }) : error;
  }
}

export async function get(path) {
  return answer(await ask(path));
}

export async function post(what, content = {}) {
  return answer(
    await ask(`/api/${what}`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-histofactor-csrf": csrf },
      body: JSON.stringify(content),
    }),
  );
}

export async function study() {
  const told = await get("/api/study");
  csrf = told.csrf;
  return told;
}

export async function labelTile(slide, level, column, row, signal) {
  const path = `/labels/${slide.id}/${slide.labels_version}/${level}_${column}_${row}.bin`;
  const response = await ask(path, { signal });
  if (!response.ok) throw await refused(response);
  const bytes = await response.arrayBuffer();
  return slide.labels.bytes === 2 ? new Uint16Array(bytes) : new Uint8Array(bytes);
}

export async function heat(slide, what) {
  const response = await ask(`/heat/${slide.id}/${slide.labels_version}/${what}.bin`);
  if (!response.ok) throw await refused(response);
  return { ...JSON.parse(response.headers.get("x-heat")), values: new Uint8Array(await response.arrayBuffer()) };
}

export const tileUrl = (slide, level, column, row) =>
  `/tiles/${slide.id}/${slide.tiles_version}/${level}_${column}_${row}.jpg`;
