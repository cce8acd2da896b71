import assert from "node:assert/strict";
import test from "node:test";
import { ApiError, describe, problemOf } from "../src/api/problem.ts";

test("a problem reads as whole sentences, however the server wrote it", () => {
  assert.equal(describe(new ApiError(404, "not_found", "Not found", "there is nothing at this path")), "Not found. There is nothing at this path.");
  assert.equal(describe(new ApiError(500, "internal", "Something broke!")), "Something broke!");
  assert.equal(describe("no camera"), "No camera.");
});

test("a gateway's page without a problem document is no news about the request", async () => {
  const problem = await problemOf(new Response("<html>", { status: 502, statusText: "Bad Gateway" }));
  assert.equal(describe(problem), "The server does not answer.");
  assert.equal(problem.isPassing, true);
});
