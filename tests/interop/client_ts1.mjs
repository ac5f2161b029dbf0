// The TypeScript SDK 1.x as a client: `client_ts1.mjs URL [--profile P] [--skip a,b]`. It speaks the legacy era only.
import { credentials, elicitationAnswer, main, noting, ROOTS, samplingAnswer } from './checks.mjs';

const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
const { StdioClientTransport } = await import('@modelcontextprotocol/sdk/client/stdio.js');
const types = await import('@modelcontextprotocol/sdk/types.js');

async function pages(fetch, key) {
    const entries = [];
    let cursor;
    do {
        const page = await fetch(cursor ? { cursor } : undefined);
        entries.push(...page[key]);
        cursor = page.nextCursor;
    } while (cursor);
    return entries;
}

async function connect({ target }) {
    const client = new Client(
        { name: 'interop-ts1', version: '1.0.0' },
        { capabilities: { elicitation: {}, sampling: {}, roots: { listChanged: true } } }
    );
    const logs = [];
    const updates = [];
    const changes = [];
    client.setRequestHandler(types.ElicitRequestSchema, request => elicitationAnswer(request.params));
    client.setRequestHandler(types.CreateMessageRequestSchema, request => samplingAnswer(request.params));
    client.setRequestHandler(types.ListRootsRequestSchema, () => ({ roots: ROOTS }));
    client.setNotificationHandler(types.LoggingMessageNotificationSchema, ({ params }) => void logs.push(`${params.level}: ${params.data}`));
    client.setNotificationHandler(types.ResourceUpdatedNotificationSchema, ({ params }) => void updates.push(params.uri));
    client.setNotificationHandler(types.ToolListChangedNotificationSchema, () => void changes.push('tools'));
    const [command, ...args] = target.split(' ');
    const { sent, fetch } = noting();
    const http = () => new StreamableHTTPClientTransport(new URL(target), { fetch, requestInit: credentials() });
    const transport = target.startsWith('http') ? http() : new StdioClientTransport({ command, args });
    let revision;
    const remember = transport.setProtocolVersion?.bind(transport);
    transport.setProtocolVersion = version => {
        revision = version;
        remember?.(version);
    };
    await client.connect(transport);
    return {
        info: { revision, era: 'legacy', server: client.getServerVersion()?.name },
        logs,
        sent,
        ping: () => client.ping(),
        tools: () => pages(params => client.listTools(params), 'tools'),
        resources: () => pages(params => client.listResources(params), 'resources'),
        templates: () => pages(params => client.listResourceTemplates(params), 'resourceTemplates'),
        prompts: () => pages(params => client.listPrompts(params), 'prompts'),
        call: (name, args, onprogress, signal) => client.callTool({ name, arguments: args }, undefined, { onprogress, signal }),
        async asTask(name, args) {
            // The SDK looks at what it has listed to know which tools are tasks.
            await client.listTools();
            const calling = client.experimental.tasks.callToolStream({ name, arguments: args }, undefined, { task: { ttl: 60_000 } });
            for await (const said of calling) {
                if (said.type === 'result') return said.result;
                if (said.type === 'error') throw said.error;
            }
        },
        read: uri => client.readResource({ uri }),
        prompt: (name, args) => client.getPrompt({ name, arguments: args }),
        complete: async (name, argument, value) =>
            (await client.complete({ ref: { type: 'ref/prompt', name }, argument: { name: argument, value } })).completion.values,
        setLevel: level => client.setLoggingLevel(level),
        async subscribe(uri) {
            updates.length = 0;
            await client.subscribeResource({ uri });
            return { seen: updates, end: () => client.unsubscribeResource({ uri }) };
        },
        async listChanges() {
            changes.length = 0;
            return { seen: changes, end: () => {} };
        },
        async close() {
            await transport.terminateSession?.();
            await client.close();
        }
    };
}

await main(connect, ['legacy']);
