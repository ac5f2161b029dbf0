// The TypeScript SDK 2.x as a client: `client_ts2.mjs URL --mode legacy|auto|pinned [--profile P] [--skip a,b]`.
import { credentials, elicitationAnswer, main, noting, ROOTS, samplingAnswer } from './checks.mjs';

const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');
const { StdioClientTransport } = await import('@modelcontextprotocol/client/stdio');
const tasks = await import('@modelcontextprotocol/ext-tasks/client');

const CAPABILITIES = { elicitation: {}, sampling: {}, roots: { listChanged: true } };
const CLIENT = { name: 'interop-ts2', version: '1.0.0' };
/** What the package for tasks asks whoever uses it. */
const ANSWERS = {
    elicitation: ({ params }) => elicitationAnswer(params),
    sampling: ({ params }) => samplingAnswer(params),
    roots: () => ({ roots: ROOTS })
};

/** Sends what the SDK has no words for as it is. */
async function dispatch(url, request) {
    const { method, params } = request;
    const name = params.name ?? params.taskId;
    const headers = {
        'Content-Type': 'application/json',
        Accept: 'application/json, text/event-stream',
        'MCP-Protocol-Version': '2026-07-28',
        'Mcp-Method': method,
        ...(name && { 'Mcp-Name': name }),
        ...credentials().headers
    };
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }) });
    const said = await response.text();
    const messages = said.startsWith('{') ? [said] : said.split('\n').filter(line => line.startsWith('data: ')).map(line => line.slice(6));
    const { result, error } = JSON.parse(messages.at(-1));
    return error ? { kind: 'error', error } : { kind: 'result', result };
}

/** Calls a tool with the package for tasks, which knows both designs. */
async function callAsTask(client, url, name, args) {
    const listed = (await client.listTools()).tools.find(tool => tool.name === name);
    const session = tasks.createTaskSessionFromClient(client, {
        endpointId: url,
        tools: { currentTool: wanted => (wanted === name && listed ? tasks.toolDeclarationFromMcpTool(listed) : undefined) },
        onInputRequest: async request => ANSWERS[request.kind](request),
        rawDispatch: request => dispatch(url, request),
        v2RequestFraming: { protocolVersion: '2026-07-28', clientInfo: CLIENT, clientCapabilities: CAPABILITIES }
    });
    try {
        const execution = await session.callTool(name, args);
        const { outcome } = await execution.settle();
        return tasks.resultFromTaskOutcome(outcome);
    } finally {
        await session.close();
    }
}

const MODES = { legacy: 'legacy', auto: 'auto', pinned: { pin: '2026-07-28' } };

async function connect({ target, mode }) {
    const client = new Client(
        CLIENT,
        { capabilities: CAPABILITIES, versionNegotiation: { mode: MODES[mode] } }
    );
    const logs = [];
    const updates = [];
    const changes = [];
    client.setRequestHandler('elicitation/create', request => elicitationAnswer(request.params));
    client.setRequestHandler('sampling/createMessage', request => samplingAnswer(request.params));
    client.setRequestHandler('roots/list', () => ({ roots: ROOTS }));
    client.setNotificationHandler('notifications/message', ({ params }) => void logs.push(`${params.level}: ${params.data}`));
    client.setNotificationHandler('notifications/resources/updated', ({ params }) => void updates.push(params.uri));
    client.setNotificationHandler('notifications/tools/list_changed', () => void changes.push('tools'));
    const [command, ...args] = target.split(' ');
    const { sent, fetch } = noting();
    const http = () => new StreamableHTTPClientTransport(new URL(target), { fetch, requestInit: credentials() });
    const transport = target.startsWith('http') ? http() : new StdioClientTransport({ command, args });
    await client.connect(transport);
    const modern = client.getProtocolEra() === 'modern';
    // A modern client states with every request which log messages it wants.
    let meta = {};
    return {
        info: { revision: client.getNegotiatedProtocolVersion(), era: client.getProtocolEra(), server: client.getServerVersion()?.name },
        logs,
        sent,
        ping: () => client.ping(),
        tools: async () => (await client.listTools()).tools,
        resources: async () => (await client.listResources()).resources,
        templates: async () => (await client.listResourceTemplates()).resourceTemplates,
        prompts: async () => (await client.listPrompts()).prompts,
        call: (name, args, onprogress, signal) => client.callTool({ name, arguments: args, ...meta }, { onprogress, signal }),
        ...(target.startsWith('http') && { asTask: (name, args) => callAsTask(client, target, name, args) }),
        read: uri => client.readResource({ uri }),
        prompt: (name, args) => client.getPrompt({ name, arguments: args }),
        complete: async (name, argument, value) =>
            (await client.complete({ ref: { type: 'ref/prompt', name }, argument: { name: argument, value } })).completion.values,
        async setLevel(level) {
            if (modern) meta = { _meta: { 'io.modelcontextprotocol/logLevel': level } };
            else await client.setLoggingLevel(level);
        },
        async subscribe(uri) {
            updates.length = 0;
            if (modern) {
                const subscription = await client.listen({ resourceSubscriptions: [uri] });
                return { seen: updates, end: () => subscription.close() };
            }
            await client.subscribeResource({ uri });
            return { seen: updates, end: () => client.unsubscribeResource({ uri }) };
        },
        async listChanges() {
            changes.length = 0;
            if (!modern) return { seen: changes, end: () => {} };
            const subscription = await client.listen({ toolsListChanged: true });
            return { seen: changes, end: () => subscription.close() };
        },
        async close() {
            if (!modern) await transport.terminateSession?.();
            await client.close();
        }
    };
}

await main(connect, ['legacy', 'auto', 'pinned']);
