// The checks that every TypeScript client runs against a server, and the program around them: the counterpart of
// `checks.py`, with the same names, the same profiles and the same output.
import '../fixtures/packages.mjs';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual, parseArgs } from 'node:util';

export const DEADLINE = 20_000;
const PROFILES = JSON.parse(readFileSync(new URL('profiles.json', import.meta.url), 'utf8'));

function need(condition, words) {
    if (!condition) throw new Error(words);
}
function shorten(value, width = 300) {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return text.length <= width ? text : text.slice(0, width - 1) + '…';
}
const texts = result => (result.content ?? []).map(block => block.text ?? '').join('\n');
/** Without the spaces that JSON printers differ in. */
const compact = text => text.replaceAll('": ', '":').replaceAll(', "', ',"');

// --- what a client answers when it is asked ---

const VALUES = { name: 'Ada', color: 'blue', ok: true, context: 'a context', role: 'operator' };

/** Accepts with a fitting value for each required property, unless the message asks to decline. */
export function elicitationAnswer({ message, requestedSchema }) {
    if (message.includes('decline')) return { action: 'decline' };
    const content = {};
    for (const [name, wanted] of Object.entries(requestedSchema?.properties ?? {})) {
        if (name in VALUES) content[name] = VALUES[name];
        else if (requestedSchema.required?.includes(name)) content[name] = { boolean: true, integer: 1, number: 1.5 }[wanted.type] ?? 'text';
    }
    return { action: 'accept', content };
}
export function samplingAnswer({ messages }) {
    const text = `You said: ${[messages[0].content].flat()[0].text}`;
    return { role: 'assistant', content: { type: 'text', text }, model: 'test', stopReason: 'endTurn' };
}
export const ROOTS = [{ uri: process.env.INTEROP_ROOT ?? 'file:///workspace', name: 'workspace' }];

/** What every request carries: the key in INTEROP_KEY, where there is one. */
export function credentials() {
    const key = process.env.INTEROP_KEY;
    return key ? { headers: { Authorization: `Bearer ${key}` } } : {};
}

/** A `fetch` that notes what is sent: the HTTP method, and for a POST the method of its message. */
export function noting() {
    const sent = [];
    const fetchAndNote = (url, init) => {
        const method = init?.method ?? 'GET';
        sent.push(method === 'POST' ? `POST ${JSON.parse(init.body).method ?? 'an answer'}` : method);
        return fetch(url, init);
    };
    return { sent, fetch: fetchAndNote };
}

// --- the checks ---

async function expectCall(client, want, onProgress) {
    const result = await client.call(want.tool, want.args ?? {}, onProgress);
    need(!result.isError, `error result: ${shorten(texts(result))}`);
    if (want.contains) need(compact(texts(result)).includes(compact(want.contains)), `'${want.contains}' is not in ${shorten(texts(result))}`);
    return result;
}

function lists(entries, key, want) {
    const names = entries.map(entry => entry[key]);
    const missing = want.contains.filter(name => !names.includes(name));
    need(missing.length === 0, `missing ${missing} in ${shorten(names)}`);
    need(new Set(names).size === names.length, `listed twice: ${shorten(names)}`);
    return `${names.length} listed`;
}

/** A wrong call may be refused with an error result or with a JSON-RPC error, but it must be refused. */
async function refusedSomehow(call) {
    let result;
    try {
        result = await call;
    } catch (error) {
        need(Number.isInteger(error.code), `no JSON-RPC error: ${error}`);
        return `JSON-RPC error ${error.code}: ${shorten(error.message)}`;
    }
    need(result.isError, `accepted: ${shorten(result)}`);
    return `error result: ${shorten(texts(result))}`;
}

/** Waits for something that notifications bring about. */
async function until(condition, what, seen = () => null, milliseconds = 10_000) {
    const deadline = Date.now() + milliseconds;
    while (!condition()) {
        need(Date.now() < deadline, `no ${what} within ${milliseconds} ms (got ${shorten(seen())})`);
        await sleep(20);
    }
}
const arrives = (...wait) => until(...wait).then(() => true, () => false);

async function told(client, want, tag) {
    return JSON.parse(texts(await client.call(want.told_by, {}))).tags[tag] ?? {};
}

async function readText(client, want) {
    const [content] = (await client.read(want.uri)).contents;
    need(content.uri === want.uri, `uri is ${content.uri}`);
    need(content.text.includes(want.contains), shorten(content));
    return shorten(content.text, 80);
}
async function prompt(client, want) {
    const result = await client.prompt(want.name, want.args);
    const said = result.messages.map(message => message.content.text ?? '').join(' ');
    need(said.includes(want.contains), shorten(said));
    return shorten(said, 80);
}
const asTask = (client, want) => ask(client.asTask ? { call: client.asTask } : client, want);
const ask = async (client, want) => shorten(texts(await expectCall(client, want)));

const checks = {
    async connect(client) {
        const { revision, era, server } = client.info;
        need(!client.expectEra || era === client.expectEra, `negotiated ${revision}, wanted the ${client.expectEra} era`);
        const { sent } = client;
        if (sent.length > 0 && era === 'modern') need(!sent.includes('POST initialize'), `a handshake was not needed: ${sent}`);
        if (sent.length > 0 && era === 'legacy') await until(() => sent.includes('GET'), 'stream opened with GET after the handshake', () => sent);
        return `${revision} with ${server}`;
    },
    async ping(client) {
        if (client.info.era === 'modern') return undefined;
        await client.ping();
        return 'answered';
    },
    async tools(client, want) {
        const entries = await client.tools();
        for (const entry of entries) {
            need(typeof entry.inputSchema === 'object', `no inputSchema: ${entry.name}`);
            const kept = want.keeps?.[entry.name];
            need(!kept || JSON.stringify(entry.inputSchema).includes(kept), `${kept} lost from the schema of ${entry.name}`);
        }
        return lists(entries, 'name', want);
    },
    resources: async (client, want) => lists(await client.resources(), 'uri', want),
    templates: async (client, want) => lists(await client.templates(), 'uriTemplate', want),
    prompts: async (client, want) => lists(await client.prompts(), 'name', want),
    echo: ask,
    async add(client, want) {
        const result = await expectCall(client, want);
        if (want.structured) need(isDeepStrictEqual(result.structuredContent, want.structured), `structuredContent is ${shorten(result.structuredContent ?? null)}`);
        return shorten(texts(result));
    },
    async content(client, want) {
        const kinds = (await expectCall(client, want)).content.map(block => block.type);
        need(want.types.every(kind => kinds.includes(kind)), `got ${kinds}`);
        return kinds.join(', ');
    },
    async fail(client, want) {
        const result = await client.call(want.tool, want.args);
        need(result.isError === true, `no error result: ${shorten(result)}`);
        need(texts(result).includes(want.contains), shorten(result));
        return shorten(texts(result));
    },
    async refuse(client, want) {
        let result;
        try {
            result = await client.call(want.tool, want.args);
        } catch (error) {
            need(error.code === want.code, `code ${error.code}: ${error.message}`);
            need(error.message.includes(want.contains), error.message);
            need(isDeepStrictEqual(error.data, want.data), `data is ${JSON.stringify(error.data)}`);
            return `${error.code} ${error.message} ${JSON.stringify(error.data)}`;
        }
        throw new Error(`no JSON-RPC error: ${shorten(result)}`);
    },
    bad_arguments: (client, want) => refusedSomehow(client.call(want.tool, want.args)),
    unknown_tool: (client, want) => refusedSomehow(client.call(want.tool, want.args)),
    async big_numbers(client, want) {
        const result = await expectCall(client, want);
        const said = JSON.parse(texts(result));
        need(isDeepStrictEqual(result.structuredContent, said), `${shorten(result.structuredContent ?? null)} is not ${shorten(said)}`);
        return shorten(said);
    },
    async large(client, want) {
        const { length } = texts(await expectCall(client, want));
        need(length === want.length, `${length} characters, wanted ${want.length}`);
        return `${length} characters`;
    },
    read_text: readText,
    async read_blob(client, want) {
        const data = Buffer.from((await client.read(want.uri)).contents[0].blob, 'base64');
        need(data.subarray(1, 4).toString() === 'PNG', `no PNG: ${data.subarray(0, 8)}`);
        return `${data.length} bytes`;
    },
    read_template: readText,
    read_unknown: (client, want) => refusedSomehow(client.read(want.uri)),
    prompt,
    unknown_prompt: (client, want) => refusedSomehow(client.prompt(want.name, want.args)),
    async completion(client, want) {
        const values = await client.complete(want.prompt, want.argument, want.value);
        need(values.includes(want.contains), `got ${values}`);
        return shorten(values);
    },
    async progress(client, want) {
        const seen = [];
        // A server may ask for the roots at any time after it started, and the SDK reports an answered question as progress.
        if (want.settle) await expectCall(client, want);
        await expectCall(client, want, ({ progress }) => seen.push(progress));
        need(seen.length >= want.count, `${seen.length} reports, wanted ${want.count}`);
        need(seen.every((value, index) => index === 0 || value > seen[index - 1]), `not increasing: ${seen}`);
        return shorten(seen);
    },
    async logging(client, want) {
        await client.setLevel('info');
        const before = client.logs.length;
        await expectCall(client, want);
        await until(() => client.logs.length - before >= want.count, `${want.count} log messages`, () => client.logs.slice(before));
        return shorten(client.logs.slice(before));
    },
    async parallel(client, want) {
        const order = [];
        const run = name => expectCall(client, want[name]).then(() => order.push(name));
        const slow = run('slow');
        await Promise.all([slow, run('quick')]);
        need(order[0] === 'quick', `order ${order}: the slow call held up the quick one`);
        return 'the quick call overtook the slow one';
    },
    async exactly_once(client, want) {
        const tag = randomUUID();
        await client.call(want.tool, { ...want.args, tag });
        const counted = await told(client, want, tag);
        need(isDeepStrictEqual(counted, { started: 1, finished: 1 }), shorten(counted));
        return shorten(counted);
    },
    async cancel(client, want) {
        const tag = randomUUID();
        const began = Date.now();
        const stop = new AbortController();
        const call = client.call(want.tool, want.told_by ? { ...want.args, tag } : want.args, () => stop.abort('enough'), stop.signal);
        await call.then(result => need(false, `the call ended: ${shorten(result)}`), () => need(stop.signal.aborted, 'it failed before it was cancelled'));
        let counted = {};
        while (want.told_by && !(counted = await told(client, want, tag)).cancelled) {
            need(Date.now() < began + 8000, `the server never stopped: ${shorten(counted)}`);
            await sleep(100);
        }
        if (want.told_by) need(isDeepStrictEqual(counted, { started: 1, cancelled: 1 }), shorten(counted));
        // The session must have survived.
        await client.tools();
        return `stopped after ${(Date.now() - began) / 1000} s`;
    },
    async subscribe(client, want) {
        const subscription = await client.subscribe(want.uri);
        let triggers = 0;
        try {
            for (; triggers < (want.repeat ? 5 : 1); ) {
                triggers += 1;
                await client.call(want.trigger.tool, want.trigger.args);
                if (await arrives(() => subscription.seen.includes(want.uri), 'update', undefined, want.repeat ? 2000 : 8000)) break;
            }
            if (want.stop) await client.call(want.stop.tool, want.stop.args);
        } finally {
            await subscription.end();
        }
        need(subscription.seen.includes(want.uri), `no update after ${triggers} triggers`);
        return `update after ${triggers} trigger(s)`;
    },
    async list_changed(client, want) {
        const changes = await client.listChanges();
        const listed = [];
        try {
            for (let round = 0; round < 2; round++) {
                const before = changes.seen.length;
                for (let attempt = 0; ; attempt++) {
                    await client.call(want.trigger.tool, want.trigger.args);
                    // Twice when the announcement went missing, so that the list really changes.
                    if (attempt) await client.call(want.trigger.tool, want.trigger.args);
                    if (await arrives(() => changes.seen.length > before, 'tools/list_changed', undefined, 2000)) break;
                    need(attempt < 3, 'no tools/list_changed');
                }
                listed.push((await client.tools()).some(entry => entry.name === want.tool));
            }
        } finally {
            await changes.end();
        }
        need(listed[0] !== listed[1], `the list did not follow: ${listed}`);
        return `announced ${changes.seen.length} times, the list followed`;
    },
    elicitation: ask,
    elicitation_declined: ask,
    elicitation_twice: ask,
    elicitation_prompt: prompt,
    /** A tool that is called as a task by clients that know tasks, and as any other by those that leave that to Rialto. */
    task: asTask,
    /** The same for a tool that is nothing but a task, and asks before it is one where it can. */
    task_only: asTask,
    sampling: ask,
    roots: ask,
    roots_standalone: async (client, want) => (client.info.era === 'modern' ? undefined : ask(client, want)),
    questions_at_once: ask,
    undeclared: () => undefined,
    async declared(client, want) {
        const said = JSON.parse(texts(await expectCall(client, want)));
        const capabilities = said.capabilities ?? said['io.modelcontextprotocol/clientCapabilities'] ?? {};
        const missing = want.capabilities.filter(name => !(name in capabilities));
        need(missing.length === 0, `the server was not told of ${missing}: ${shorten(capabilities)}`);
        return shorten(capabilities);
    }
};

// --- the program ---

function report(check, ok, detail, more = {}) {
    console.log(JSON.stringify({ check, ok, detail, ...more }));
    return ok;
}

function within(milliseconds, promise) {
    const late = sleep(milliseconds, undefined, { ref: false }).then(() => {
        throw new Error(`nothing happened within ${milliseconds} ms`);
    });
    return Promise.race([promise, late]);
}

/** Runs a client program. `connectClient(args)` gives the adapter. */
export async function main(connectClient, modes) {
    const { values: args, positionals } = parseArgs({
        allowPositionals: true,
        options: {
            mode: { type: 'string', default: modes[0] },
            profile: { type: 'string', default: 'fixture' },
            'expect-era': { type: 'string' },
            skip: { type: 'string', default: '' },
            only: { type: 'string', default: '' }
        }
    });
    if (positionals.length !== 1 || !modes.includes(args.mode) || !PROFILES[args.profile]) {
        console.error(`usage: TARGET [--mode ${modes.join('|')}] [--profile ${Object.keys(PROFILES).join('|')}] [--expect-era E] [--skip a,b] [--only a,b]`);
        process.exit(2);
    }
    const [skip, only] = [args.skip, args.only].map(names => new Set(names.split(',').filter(Boolean)));
    let allOk = true;
    try {
        const client = await within(DEADLINE, connectClient({ ...args, target: positionals[0] }));
        client.expectEra = args['expect-era'];
        for (const [name, want] of Object.entries(PROFILES[args.profile])) {
            if (only.size > 0 && !only.has(name)) continue;
            if (skip.has(name)) {
                report(name, true, 'asked to skip', { skipped: true });
                continue;
            }
            try {
                const detail = await within(DEADLINE, checks[name](client, want));
                report(name, true, detail ?? 'not for this client', detail ? {} : { skipped: true });
            } catch (error) {
                allOk = report(name, false, shorten(`${error.name}: ${error.message}`, 600));
            }
        }
        await within(5000, client.close());
    } catch (error) {
        allOk = report('session', false, shorten(`${error.name}: ${error.message}`, 600));
    }
    process.exit(allOk ? 0 : 1);
}
