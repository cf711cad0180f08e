// nodemailer's smtp-server with a handler that appends to an mbox and syncs it.
//
// `node server.js PORT FOLDER` prints a line when it listens. Files stay open, and syncs of different messages run side
// by side in node's threads: both make it faster than the plainest handler.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { SMTPServer } = require('smtp-server');

const [port, folder] = process.argv.slice(2);
const files = new Map();

function open(recipient) {
    let file = files.get(recipient);
    if (!file) {
        file = fs.promises.open(path.join(folder, path.basename(recipient) + '.txt'), 'a', 0o600);
        files.set(recipient, file);
    }
    return file;
}

// Line ends stay as they came; text is only looked into where a line might have to be quoted.
function quote(text) {
    if (!text.includes('From ')) return text;
    return Buffer.from(text.toString('latin1').replace(/^(>*From )/gm, '>$1'), 'latin1');
}

async function append(session, text) {
    const from = session.envelope.mailFrom.address || 'MAILER-DAEMON';
    const entry = Buffer.concat([Buffer.from(`From ${from} Thu Jan  1 00:00:00 1970\n`), quote(text), Buffer.from('\n')]);
    for (const recipient of session.envelope.rcptTo) {
        const file = await open(recipient.address);
        await file.write(entry);
        await file.datasync();
    }
}

const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    logger: false,
    size: 64 * 1024 * 1024,
    onData(stream, session, done) {
        const chunks = [];
        stream.on('data', (chunk) => chunks.push(chunk));
        stream.on('end', () => append(session, Buffer.concat(chunks)).then(() => done(), done));
    },
});
server.on('error', (error) => console.error(error.message));
server.listen(Number(port), '127.0.0.1', () => console.log('listening'));
