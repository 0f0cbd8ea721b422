// The client of marked.py, all connections at once: node marked.js client HOST PORT CONNECTIONS MESSAGES BLOCKS
const net = require("net");

function message(connection, number, blocks) {
    const head = "<" + String(connection).padStart(4, "0") + "C" + String(number).padStart(6, "0");
    let text = "";
    for (let block = 0; block < blocks; block++) {
        text += head + String(block).padStart(3, "0") + ">";
    }
    return text;
}

const [, host, port, ...rest] = process.argv.slice(2);
const [connections, messages, blocks] = rest.map(Number);
for (let connection = 0; connection < connections; connection++) {
    const stream = net.connect(Number(port), host, () => {
        for (let number = 0; number < messages; number++) {
            stream.write(message(connection, number, 1 + ((number * 7 + connection) % blocks)));
        }
        stream.end();
    });
    stream.resume();
}
