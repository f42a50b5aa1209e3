// Serves one file: node server.js FILE PORT
const http = require("http");
const fs = require("fs");
const [file, port] = process.argv.slice(2);
http.createServer((_, response) => fs.createReadStream(file).pipe(response)).listen(Number(port));
process.on("SIGTERM", () => process.exit(0));
