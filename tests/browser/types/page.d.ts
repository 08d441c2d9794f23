// Types of the page's API calls and state, made of the schemas of the OpenAPI document (`api.d.ts`, which the test
// generates from the document that the server returns).

import type { components } from "api";

type Schemas = components["schemas"];

export type Worker = Schemas["Worker"];
export type NewWorker = Schemas["NewWorker"];
export type Limits = Schemas["Limits"];
export type ServerFrame = Schemas["ServerFrame"];

/** A prompt that is open. */
export interface OpenPrompt {
  key: string;
  worker_id: string;
  request_id: string;
  kind: string;
  event: Schemas["EventPermissionRequest"] | Schemas["EventQuestion"];
  epoch: number;
}

/** The state that `state/state.js` makes and the functions beside it change. */
export interface PageState {
  connection: { phase: string; retryAt: number; everOpen: boolean };
  epoch: number;
  loaded: boolean;
  workers: Map<string, Worker>;
  prompts: Map<string, OpenPrompt>;
  closed: Set<string>;
  deleted: Set<string>;
  answers: Map<string, { sending?: boolean; error?: string }>;
  conversations: Map<string, any>;
  selected: string | null;
  seen: Record<string, number>;
  events: { type: string; worker_id: string; [more: string]: unknown }[];
  rev: { workers: number; prompts: number; connection: number; conversation: number; queue: number };
}

/** The calls of `lib/tokens.js`. */
export interface TokenApi {
  tokens(): Promise<Schemas["Tokens"]>;
  createToken(fields: Schemas["NewToken"]): Promise<Schemas["CreatedToken"]>;
  endToken(id: string): Promise<Schemas["Done"]>;
  pair(id: string, page: string): Promise<Schemas["Pairing"]>;
}

/** The calls of `lib/api.js`. */
export interface PageApi {
  login(token: string): Promise<Schemas["Done"]>;
  loginByCode(code: string): Promise<Schemas["Done"]>;
  linkFailed(why: string, again?: () => Promise<unknown>): void;
  health(): Promise<Schemas["Health"]>;
  logins(): Promise<Schemas["Logins"]>;
  endLogin(id: string): Promise<Schemas["LoginsEnded"]>;
  endOtherLogins(): Promise<Schemas["LoginsEnded"]>;
  logout(): Promise<Schemas["Done"]>;
  workers(): Promise<Schemas["Workers"]>;
  worker(id: string): Promise<Schemas["WorkerDetails"]>;
  create(fields: NewWorker): Promise<Worker>;
  change(id: string, fields: Schemas["WorkerChange"]): Promise<Worker>;
  remove(id: string, force: boolean): Promise<Schemas["Done"]>;
  clis(): Promise<Schemas["Clis"]>;
  permissions(): Promise<Schemas["Prompts"]>;
  history(id: string, limit: number, before?: number): Promise<Schemas["Messages"]>;
  resultBlocks(id: string, seq: number): Promise<Schemas["Block"][] | null>;
  planBlocks(id: string, seq: number): Promise<Schemas["Block"][] | null>;
  wholeText(id: string, seq: number): Promise<string>;
  sessionFacts(id: string): Promise<Schemas["Messages"]>;
  message(id: string, message: Schemas["NewMessage"]): Promise<Schemas["MessageTaken"]>;
  queue(id: string): Promise<Schemas["Queue"]>;
  editQueued(id: string, message: string, content: string): Promise<Schemas["Done"]>;
  removeQueued(id: string, message: string): Promise<Schemas["Done"]>;
  act(id: string, action: string, body?: object): Promise<Worker>;
  options(id: string): Promise<Schemas["WorkerOptionList"]>;
  files(id: string, q: string): Promise<Schemas["Files"]>;
  usage(by: string, from: string): Promise<Schemas["UsageReport"]>;
  push(): Promise<Schemas["Push"]>;
  subscribePush(subscription: PushSubscriptionJSON): Promise<Schemas["PushSubscription"]>;
  removePush(id: string): Promise<Schemas["Done"]>;
  testPush(id: string): Promise<Schemas["PushTested"]>;
  sessions(): Promise<Schemas["Sessions"]>;
  paths(prefix: string): Promise<Schemas["Paths"]>;
  search(q: string, cursor?: string): Promise<Schemas["SearchResults"]>;
  imageUrl(id: string, seq: number, index: number, time: string): string;
  fileUrl(id: string, path: string): string;
  fileText(id: string, path: string): Promise<string | null>;
  exportUrl(id: string, format: string): string;
}

/** The calls of `lib/several.js`. */
export interface SeveralApi {
  presets(): Promise<any>;
  savePreset(name: string, fields: any, from?: string): Promise<any>;
  removePreset(name: string): Promise<any>;
  groups(): Promise<any>;
  group(id: string): Promise<any>;
  makeGroup(fields: any): Promise<any>;
  checkGroup(id: string): Promise<any>;
  diffInGroup(id: string, from: string, to: string): Promise<any>;
  keepInGroup(id: string, worker: string, force: boolean): Promise<any>;
  projectOf(path: string): Promise<any>;
}

/** The calls of `lib/terminals.js`. */
export interface TerminalsApi {
  list(id: string): Promise<Schemas["Terminals"]>;
  open(id: string, fields: Schemas["NewTerminal"]): Promise<Schemas["Terminal"]>;
  end(id: string, terminal: string): Promise<Schemas["TerminalEnded"]>;
}

/** The calls of `lib/work.js`. */
export interface WorkApi {
  diff(id: string, scope?: Record<string, string>): Promise<any>;
  review(id: string): Promise<any>;
  addComment(id: string, fields: any): Promise<any>;
  changeComment(id: string, comment: string, fields: any): Promise<any>;
  removeComment(id: string, comment: string): Promise<any>;
  sendReview(id: string, fields: any): Promise<any>;
  setViewed(id: string, fields: any): Promise<any>;
  landing(id: string, into?: string): Promise<any>;
  commit(id: string, fields: any): Promise<any>;
  bringUp(id: string, fields: any): Promise<any>;
  land(id: string, fields: any): Promise<any>;
  push(id: string, fields: any): Promise<any>;
  pullRequest(id: string, fields: any): Promise<any>;
  restorable(id: string, turn: string, file?: string): Promise<any>;
  restore(id: string, fields: any): Promise<any>;
  discard(id: string, fields: any): Promise<any>;
  tree(id: string, path: string): Promise<any>;
  fileHistory(id: string, path: string): Promise<any>;
  handOver(id: string, fields: any): Promise<any>;
  file(id: string, path: string): Promise<{ type: string; size: number | null; text: string | null; cut: boolean }>;
}
