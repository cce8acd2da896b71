// Builds the pages into dist/, which the server embeds. `npm run dev` serves them with live reload
// in front of a server that runs on its default address.
import { defineConfig } from "vite";

const server = "http://127.0.0.1:8080";

export default defineConfig({
  build: {
    target: "es2022",
    // Every asset is a file: a data: URI would need a wider content security policy.
    assetsInlineLimit: 0,
    // hls.js is about half a megabyte and is loaded only by pages that play HLS.
    chunkSizeWarningLimit: 800,
  },
  server: {
    proxy: {
      "/api": server,
      "/whip": server,
      "/whep": server,
      "/hls": server,
      "^/recordings/[^/]+/[^/]+/.+": server,
    },
  },
});
