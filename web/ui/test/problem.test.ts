import assert from "node:assert/strict";
import test from "node:test";
import { ApiError, describe } from "../src/api/problem.ts";

test("a problem reads as whole sentences, however the server wrote it", () => {
  assert.equal(describe(new ApiError(404, "not_found", "Not found", "there is nothing at this path")), "Not found. There is nothing at this path.");
  assert.equal(describe(new ApiError(500, "internal", "Something broke!")), "Something broke!");
  assert.equal(describe("no camera"), "No camera.");
});
