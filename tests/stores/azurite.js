// Serves Azure's blobs from memory (azurite) on a free loopback port until standard input ends.
// usage: node azurite.js CONTAINER

import { createHmac } from "node:crypto";
import { createRequire } from "node:module";

const container = process.argv[2];
const flags = ["--blobHost", "127.0.0.1", "--blobPort", "0"];
flags.push("--skipApiVersionCheck", "--disableTelemetry", "--inMemoryPersistence", "--silent");
// It reads the command line when it is created.
process.argv.splice(2, Infinity, ...flags);
console.log = console.error;
const { BlobServerFactory } = createRequire(import.meta.url)("azurite/dist/src/blob/BlobServerFactory");
const server = await new BlobServerFactory().createServer();
await server.start();

const account = "devstoreaccount1";
// The account and the key that Microsoft publishes for its emulators.
const key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const endpoint = `${server.getHttpServerAddress()}/${account}`;
await create(container);
process.stdout.write(`${JSON.stringify({ event: "ready", endpoint, account, key })}\n`);
process.stdin.resume().on("end", () => process.exit(0));

// Creates a container that anyone may read blobs of, so that a test can look at their headers.
async function create(name) {
    const headers = {
        "x-ms-blob-public-access": "blob",
        "x-ms-date": new Date().toUTCString(),
        "x-ms-version": "2023-11-03",
    };
    const canonical = Object.entries(headers).map(([header, value]) => `${header}:${value}`);
    const resource = `/${account}/${account}/${name}\nrestype:container`;
    const text = ["PUT", ...Array(11).fill(""), ...canonical, resource].join("\n");
    const signature = createHmac("sha256", Buffer.from(key, "base64")).update(text).digest("base64");
    const answer = await fetch(`${endpoint}/${name}?restype=container`, {
        method: "PUT",
        headers: { ...headers, Authorization: `SharedKey ${account}:${signature}` },
    });
    if (!answer.ok) throw new Error(`create ${name}: ${answer.status} ${await answer.text()}`);
}
