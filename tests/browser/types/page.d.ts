// Types of the page's API calls and state, made of the schemas of the OpenAPI document (`api.d.ts`, which the test
// generates from the document that the server returns).

import type { components } from "api";

type Schemas = components["schemas"];

export type Worker = Schemas["Worker"];
export type NewWorker = Schemas["NewWorker"];
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
  diff(id: string): Promise<Schemas["Diff"]>;
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
