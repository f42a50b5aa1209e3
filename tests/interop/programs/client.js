// Writes what a URL has to standard output: node client.js URL
require("http").get(process.argv[2], (response) => response.pipe(process.stdout));
