// Lets requests of the page fail once.

import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, finish, open } from "./support.mjs";

/** What a refused request says. */
export const REFUSED = "the test refuses this";

/** Lets the first request that matches fail, as `fail(route)` does; all others continue. */
export async function failOnce(page, pattern, fail = (route) => route.fulfill({ status: 503, json: { detail: REFUSED, code: "unavailable" } })) {
  const failed = { count: 0 };
  await page.route(/\/(api|static)\//, (route) => {
    const request = route.request();
    if (failed.count || !pattern.test(`${request.method()} ${request.url()}`)) return route.fallback();
    failed.count += 1;
    return fail(route);
  });
  return failed;
}

export const tryAgain = (page) => page.getByRole("button", { name: "Try again" }).first().click();
export const said = (page, text = REFUSED) => page.getByText(text).first().waitFor();

/**
 * One test for each request: it fails once, which is said; what was wanted is kept, and it can be tried again. A request is
 * `[pattern, begin, act, check, again]`: `begin(page)` gives what the others get, `act` makes the page send it, and `check`
 * looks whether it was done after all. `known` are the requests of the page that need a test.
 */
export function testRequests(server, what, requests, known) {
  test(`every kind of request of ${what} has a test`, () => {
    assert.deepEqual(Object.keys(requests).toSorted(), known.toSorted());
  });
  for (const [name, [pattern, begin, act, check, again = tryAgain]] of Object.entries(requests)) {
    test(`a failed request of ${what} is kept for a retry: ${name}`, async () => {
      const page = await open(server, "health");
      const found = await begin(page);
      await page.waitForLoadState("networkidle");
      const failed = await failOnce(page, pattern);
      await act(page, found);
      await said(page);
      assert.equal(failed.count, 1);
      await again(page);
      await check(page, found);
      await eventually(page, (text) => !document.body.innerText.includes(text), REFUSED);
      await finish(page, server);
    });
  }
}
